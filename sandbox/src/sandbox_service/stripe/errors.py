"""Stripe's errors: ``{"error": {"type", "code", "message", …}}``."""

from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox_service.stripe.ids import request_id
from sandbox_service.vendor import VendorError

_DOC_URL = "https://stripe.com/docs/error-codes/"

_BARE: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request was unacceptable."),
    401: ("invalid_request_error", None, "Invalid API Key provided: sk_test_***"),
    402: ("card_error", "card_declined", "Your card was declined."),
    403: ("invalid_request_error", None, "The provided key does not have the required permissions for this endpoint."),
    404: ("invalid_request_error", "resource_missing", "No such object."),
    409: ("invalid_request_error", "lock_timeout", "This object cannot be accessed right now."),
    429: ("invalid_request_error", "rate_limit", "Too many requests hit the API too quickly."),
}


def error_response(
    status: int, type_: str, message: str, *, code: str | None = None, param: str | None = None
) -> Response:
    identifier = request_id()
    error: dict[str, Any] = {"type": type_, "message": message}
    if code is not None:
        error |= {"code": code, "doc_url": _DOC_URL + code.replace("_", "-")}
    if param is not None:
        error["param"] = param
    error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{identifier}"
    headers = {"Request-Id": identifier}
    if status in {409, 500, 502, 503, 504}:
        headers["Stripe-Should-Retry"] = "true"
    return JSONResponse({"error": error}, status_code=status, headers=headers)


def bare_error(status: int) -> Response:
    """The body that belongs to a status."""
    unknown = ("api_error", None, "An unknown error occurred.") if status >= 500 else _BARE[400]
    type_, code, message = _BARE.get(status, unknown)
    return error_response(status, type_, message, code=code)


class StripeError(VendorError):
    """400 ``invalid_request_error`` unless told otherwise."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type_: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(error_response(status, type_, message, code=code, param=param))


class ResourceMissingError(StripeError):
    def __init__(self, kind: str, identifier: str, param: str) -> None:
        super().__init__(f"No such {kind}: '{identifier}'", status=404, code="resource_missing", param=param)
