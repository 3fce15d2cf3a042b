"""Android Publisher's errors: ``{"error": {"code", "message", "errors": [{"message", "domain", "reason"}]}}``."""

from starlette.responses import JSONResponse, Response

from sandbox_service.vendor import VendorError

_BARE = {
    400: ("invalidValue", "Invalid Value", "INVALID_ARGUMENT"),
    401: (
        "authError",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential.",
        "UNAUTHENTICATED",
    ),
    403: (
        "userInsufficientPermission",
        "The current user has insufficient permissions to perform the requested operation.",
        "PERMISSION_DENIED",
    ),
    404: ("notFound", "Not Found", "NOT_FOUND"),
    409: ("concurrentUpdate", "The purchase is being changed by another request.", "ABORTED"),
    410: ("purchaseTokenNoLongerValid", "The purchase token is no longer valid.", None),
    429: ("rateLimitExceeded", "Rate Limit Exceeded", "RESOURCE_EXHAUSTED"),
    500: ("backendError", "Internal error encountered.", "INTERNAL"),
    503: ("backendError", "The service is currently unavailable.", "UNAVAILABLE"),
}


def error_response(code: int, reason: str, message: str, status: str | None = None) -> Response:
    error = {
        "code": code,
        "message": message,
        "errors": [{"message": message, "domain": "androidpublisher", "reason": reason}],
    }
    if status is not None:
        error["status"] = status
    return JSONResponse({"error": error}, status_code=code)


def bare_error(code: int) -> Response:
    """The body that belongs to a status."""
    reason, message, status = _BARE.get(code, _BARE[500 if code >= 500 else 400])
    return error_response(code, reason, message, status)


class PlayError(VendorError):
    """One row of the reference's table, or the body that belongs to a bare status."""

    def __init__(self, code: int, reason: str | None = None, message: str = "", status: str | None = None) -> None:
        super().__init__(bare_error(code) if reason is None else error_response(code, reason, message, status))
