"""The errors of Stability: v1's ``{"id", "name", "message"}``, and v2beta's ``{"id", "name", "errors"}``."""

import uuid

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox_service.vendor import VendorError

_BARE = {
    400: ("bad_request", "The request was not understood."),
    401: ("unauthorized", "missing authorization header"),
    402: ("payment_required", "You lack sufficient credits to make this request."),
    403: ("permission_denied", "You do not have permission to access this resource"),
    404: ("not_found", "The specified engine (ID some-fake-engine) was not found."),
    413: ("payload_too_large", "body: payloads cannot be larger than 10MiB in size"),
    429: (
        "rate_limit_exceeded",
        "You have exceeded the rate limit of 150 requests within a 10 second period, "
        "and have been timed out for 60 seconds.",
    ),
}
_SERVER_ERROR = ("server_error", "An unexpected server error occurred, please try again.")


def error_response(status: int, name: str, message: str) -> Response:
    return JSONResponse({"id": uuid.uuid4().hex, "name": name, "message": message}, status_code=status)


def bare_error(status: int) -> Response:
    """The body that belongs to a status."""
    name, message = _BARE.get(status, _SERVER_ERROR if status >= 500 else _BARE[400])
    return error_response(status, name, message)


class StabilityError(VendorError):
    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(error_response(status, name, message))


class V2BetaError(VendorError):
    """v2beta says the same with a list."""

    def __init__(self, status: int, name: str, message: str) -> None:
        error_id = name if status == 429 else uuid.uuid4().hex
        super().__init__(JSONResponse({"id": error_id, "name": name, "errors": [message]}, status_code=status))


_V2BETA_BARE = _BARE | {
    400: ("bad_request", "some-field: is required"),
    402: (
        "payment_required",
        "You lack sufficient credits to make this request. Please purchase more credits at "
        "https://platform.stability.ai/account/credits and try again.",
    ),
    403: (
        "content_moderation",
        "Your request was flagged by our content moderation system, as a result your request was denied and you were "
        "not charged.",
    ),
    422: ("invalid_language", "English is the only supported language for this service."),
}
_V2BETA_SERVER_ERROR = ("internal_error", "An unexpected server error occurred, please try again.")


def v2beta_error(status: int) -> V2BetaError:
    """The error that belongs to a status."""
    name, message = _V2BETA_BARE.get(status, _V2BETA_SERVER_ERROR if status >= 500 else _V2BETA_BARE[400])
    return V2BetaError(status, name, message)


def authorize(request: Request, error: type[StabilityError] | type[V2BetaError]) -> None:
    """Let any key pass that is formed like one.

    Raises:
        VendorError: 401.
    """
    header = request.headers.get("authorization", "")
    if not header:
        raise error(401, "unauthorized", "missing authorization header")
    scheme, _, key = header.partition(" ")
    if scheme.lower() != "bearer" or not key.strip().startswith("sk-"):
        raise error(401, "unauthorized", "Incorrect API key provided")
