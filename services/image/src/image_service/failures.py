"""Errors that are remembered: a generation's failure as it is stored, and as it is raised again for each who waits."""

from common.clients.coin import InsufficientCoinsError
from common.errors import (
    InternalError,
    InvalidTokenError,
    ServiceError,
    ServiceUnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
)
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE
from image_service.errors import (
    ContentRejectedError,
    GenerationCanceledError,
    GenerationFailedError,
    PromptLanguageError,
    ProviderFailedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    StorageUnavailableError,
    TooBusyError,
)
from image_service.models import Failure

logger = get_logger(__name__)

_BY_CODE: dict[str, type[ServiceError]] = {
    error.code: error
    for error in (
        ContentRejectedError,
        GenerationCanceledError,
        GenerationFailedError,
        InsufficientCoinsError,
        InternalError,
        InvalidTokenError,
        PromptLanguageError,
        ProviderFailedError,
        ProviderTimeoutError,
        ProviderUnavailableError,
        ServiceUnavailableError,
        StorageUnavailableError,
        TooBusyError,
        UpstreamError,
        UpstreamTimeoutError,
    )
}


def failure_of(error: Exception) -> Failure:
    """Say why a generation failed; the unexpected is logged whole and told as an internal error."""
    if isinstance(error, TimeoutError):
        error = ProviderTimeoutError()
    elif isinstance(error, DATABASE_UNAVAILABLE):
        error = ServiceUnavailableError()
    elif not isinstance(error, ServiceError) or error.code not in _BY_CODE:
        logger.error("generation crashed", exc_info=error)
        error = InternalError()
    return Failure(
        code=error.code, message=error.message, details=error.details, retry_after=error.headers.get("Retry-After")
    )


def error_of(failure: Failure | None) -> ServiceError:
    """Make the error anew."""
    if failure is None:
        return GenerationFailedError()
    error = _BY_CODE.get(failure.code, GenerationFailedError)()
    error.message = failure.message
    error.details = failure.details
    if failure.retry_after is not None:
        error.headers["Retry-After"] = failure.retry_after
    return error
