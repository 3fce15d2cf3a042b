"""Errors, and the one place where an error becomes HTTP."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """One thing wrong with a request."""

    field: str
    message: str


class ErrorBody(BaseModel):
    """The body of every failure, from the gateway and every service."""

    success: bool = False
    code: str
    message: str
    details: Any = None
    requestId: str  # noqa: N815 - the wire's own spelling; this model has no other use


class ServiceError(Exception):
    """A failure that a client may see; a class states its ``code``, ``status`` and ``message`` once.

    Args:
        message: One sentence for the person holding the phone, if the class's own does not fit.
        details: What a client can act on (a mapping or a list), never a vendor's or the database's words.
        headers: Added to the answer, such as ``Retry-After``.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    message: str = "Something went wrong on our side. Please try again."

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Mapping[str, Any] | Sequence[Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or type(self).message)
        self.message = message or type(self).message
        self.details = details
        self.headers = dict(headers or {})


class BadRequestError(ServiceError):
    code = "bad_request"
    status = HTTPStatus.BAD_REQUEST
    message = "The request could not be read."


class InvalidTokenError(ServiceError):
    """The caller's own session is missing, malformed, expired, revoked or forged."""

    code = "invalid_token"
    status = HTTPStatus.UNAUTHORIZED
    message = "The access token is not valid. Please sign in again."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer"})


class MissingTokenError(InvalidTokenError):
    code = "missing_token"
    message = "An access token is required. Please sign in."


class ExpiredTokenError(InvalidTokenError):
    code = "token_expired"
    message = "The access token has expired. Please sign in again."


class ForbiddenError(ServiceError):
    code = "forbidden"
    status = HTTPStatus.FORBIDDEN
    message = "This is not allowed."


class NotFoundError(ServiceError):
    code = "not_found"
    status = HTTPStatus.NOT_FOUND
    message = "There is nothing here."


class MethodNotAllowedError(ServiceError):
    code = "method_not_allowed"
    status = HTTPStatus.METHOD_NOT_ALLOWED
    message = "This address does not support that method."


class ConflictError(ServiceError):
    code = "conflict"
    status = HTTPStatus.CONFLICT
    message = "This conflicts with what is already there."


class RequestInProgressError(ConflictError):
    """The first request under this idempotency key is still running."""

    code = "request_in_progress"
    message = "The same request is still being worked on. Please try again in a moment."

    def __init__(self, message: str | None = None, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after_seconds)})


class PayloadTooLargeError(ServiceError):
    code = "payload_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = "The request is too large."


class UnsupportedMediaTypeError(ServiceError):
    code = "unsupported_media_type"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    message = "The request must be sent as application/json."


class ValidationFailedError(ServiceError):
    """The payload was malformed; ``details`` lists ``{field, message}``."""

    code = "validation_failed"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = "Some of the fields are not valid."

    @classmethod
    def of(cls, field: str, message: str) -> "ValidationFailedError":
        """Refuse one field."""
        return cls(f"{field}: {message}", details=[{"field": field, "message": message}])


class FieldError(ServiceError):
    """A well-formed field that the rules do not allow; ``details`` names it."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    field: ClassVar[str]

    def __init__(self, message: str | None = None) -> None:
        text = message or type(self).message
        super().__init__(text, details=[{"field": self.field, "message": text}])


class IdempotencyKeyReusedError(FieldError):
    code = "idempotency_key_reused"
    message = "This idempotency key was already used for another request."
    field = "idempotencyKey"


class TooManyRequestsError(ServiceError):
    """A limit was reached; carries ``Retry-After`` in whole seconds."""

    code = "too_many_requests"
    status = HTTPStatus.TOO_MANY_REQUESTS
    message = "Too many requests. Please try again later."

    def __init__(
        self, message: str | None = None, *, retry_after_seconds: float, details: Mapping[str, Any] | None = None
    ) -> None:
        seconds = max(1, int(-(-retry_after_seconds // 1)))
        super().__init__(message, details=details, headers={"Retry-After": str(seconds)})


class UpstreamError(ServiceError):
    """Something we depend on answered with what we cannot use."""

    code = "upstream_failed"
    status = HTTPStatus.BAD_GATEWAY
    message = "A part of the service did not answer as expected. Please try again."


class ServiceUnavailableError(ServiceError):
    """Something we depend on is away or overloaded; nothing was changed that a repeat would not find."""

    code = "service_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "The service is not available right now. Please try again in a moment."

    def __init__(self, message: str | None = None, *, retry_after_seconds: int = 2) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after_seconds)})


class UpstreamTimeoutError(ServiceError):
    """Something we depend on took too long: the outcome is unknown, not failed."""

    code = "upstream_timeout"
    status = HTTPStatus.GATEWAY_TIMEOUT
    message = "The service took too long to answer. Please try again."


class InternalError(ServiceError):
    """The unexpected; its cause is in the log under the request id."""


BY_STATUS: dict[int, type[ServiceError]] = {
    int(error.status): error
    for error in (
        BadRequestError,
        InvalidTokenError,
        ForbiddenError,
        NotFoundError,
        MethodNotAllowedError,
        ConflictError,
        PayloadTooLargeError,
        UnsupportedMediaTypeError,
        ValidationFailedError,
        UpstreamError,
        ServiceUnavailableError,
        UpstreamTimeoutError,
    )
}
"""What a bare HTTP status from the framework is called on the wire."""


def error_body(code: str, message: str, details: Any, request_id: str) -> dict[str, Any]:
    """Build the body of a failure; the same keys in every one."""
    return {"success": False, "code": code, "message": message, "details": details, "requestId": request_id}


def responses(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Describe for OpenAPI which errors a route may answer, one entry a status."""
    by_status: dict[int, list[type[ServiceError]]] = {}
    for error in errors:
        by_status.setdefault(int(error.status), []).append(error)
    return {
        status: {
            "model": ErrorBody,
            "description": " or ".join(f"`{error.code}`: {error.message}" for error in group),
        }
        for status, group in by_status.items()
    }
