"""The errors of Stability v1: ``{"id", "name", "message"}``, no list."""

import uuid

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
