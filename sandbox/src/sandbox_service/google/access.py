"""Who may ask the Android Publisher API, and about which app."""

import re

from starlette.requests import Request

from sandbox_service.google.errors import PlayError
from sandbox_service.vendor import sandbox_of

_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")


def authorize(request: Request) -> None:
    """Let in who carries an access token of the sandbox's.

    Raises:
        PlayError: 401.
    """
    scheme, _, access_token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not sandbox_of(request).service_account.is_valid(access_token.strip()):
        raise PlayError(401)


def checked_package(request: Request) -> str:
    """The app in the path.

    Raises:
        PlayError: 404, it is no package name.
    """
    package: str = request.path_params["package"]
    if not _PACKAGE.fullmatch(package):
        raise PlayError(404, "applicationNotFound", "No application was found for the given package name.", "NOT_FOUND")
    return package
