"""What can go wrong with pictures."""

from http import HTTPStatus

from common.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    NotFoundError,
    ServiceError,
    ServiceUnavailableError,
    TooManyRequestsError,
    UpstreamError,
    UpstreamTimeoutError,
)


class ImageNotFoundError(NotFoundError):
    """Unknown, deleted, or another user's: nobody can tell which."""

    code = "image_not_found"
    message = "This picture does not exist."


class RangeNotSatisfiableError(ServiceError):
    """A range request asks for what is behind a file's end."""

    code = "range_not_satisfiable"
    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    message = "This picture has no such part."


class ContentRejectedError(ForbiddenError):
    """The engine's moderation refused the prompt, or withheld every picture."""

    code = "content_rejected"
    message = "This prompt was refused by the content filter. You were not charged."


class PromptLanguageError(FieldError):
    """The engine does not know the language of the prompt."""

    code = "prompt_language_unsupported"
    message = "Please write the prompt in English. You were not charged."
    field = "prompt"


class ProviderError(ServiceError):
    """The engine did not deliver.

    Attributes:
        is_repeatable: The same order may go well if it is sent again, while there is time; otherwise it would only
            be refused again.
    """

    is_repeatable: bool = False


class ProviderFailedError(ProviderError, UpstreamError):
    """The engine refused us or answered what cannot be used; nothing was charged."""

    code = "provider_failed"
    message = "The pictures could not be drawn. You were not charged."

    def __init__(self, message: str | None = None, *, is_repeatable: bool = False) -> None:
        super().__init__(message)
        self.is_repeatable = is_repeatable


class ProviderUnavailableError(ProviderError, ServiceUnavailableError):
    """The engine is away, overloaded, or out of credit; nothing was charged."""

    code = "provider_unavailable"
    message = "Pictures cannot be drawn right now. You were not charged. Please try again in a moment."

    def __init__(
        self, message: str | None = None, *, retry_after_seconds: int = 10, is_repeatable: bool = False
    ) -> None:
        ServiceUnavailableError.__init__(self, message, retry_after_seconds=retry_after_seconds)
        self.is_repeatable = is_repeatable


class ProviderTimeoutError(ProviderError, UpstreamTimeoutError):
    """The engine took too long; nothing was charged."""

    code = "provider_timeout"
    message = "Drawing the pictures took too long. You were not charged. Please try again."
    is_repeatable = True


class StorageUnavailableError(ServiceUnavailableError):
    """The pictures' storage is away."""

    code = "storage_unavailable"
    message = "Pictures cannot be stored or read right now. Please try again in a moment."


class GenerationFailedError(ServiceUnavailableError):
    """The order was broken off by us: the process that drew it ended, or its coins could not be taken."""

    code = "generation_failed"
    message = "The pictures could not be finished. You were not charged. Please try again."


class GenerationCanceledError(ConflictError):
    """The user called the order off."""

    code = "canceled"
    message = "This order was canceled. You were not charged."


class GenerationStartedError(ConflictError):
    """Too late to call it off: the engine has been asked."""

    code = "generation_started"
    message = "These pictures are being drawn already."


class GenerationFinishedError(ConflictError):
    """Too late to call it off: it has succeeded, or failed."""

    code = "generation_finished"
    message = "This order is finished already."


class TooBusyError(ServiceUnavailableError):
    """Every place at the engine, and every place in the line before it, is taken."""

    code = "too_busy"
    message = "Many pictures are being drawn right now. You were not charged. Please try again in a moment."

    def __init__(self, message: str | None = None, *, retry_after_seconds: int = 5) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)


class TooManyGenerationsError(TooManyRequestsError):
    """One user has too many orders under way."""

    code = "too_many_generations"
    message = "Too many of your pictures are being drawn at once. Please wait for some of them."


class TooManyFollowersError(TooManyRequestsError):
    """One user follows too many generations."""

    code = "too_many_followers"
    message = "Too many of your apps wait for pictures at once. Please close some of them."


class ChargePendingError(ServiceUnavailableError):
    """The pictures are drawn and stored, but their coins cannot be taken yet; the same key returns them then."""

    code = "charge_pending"
    message = "Your pictures are drawn and will be in your history as soon as they are paid for."

    def __init__(self, message: str | None = None, *, retry_after_seconds: int = 5) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)


class ReportNotFoundError(NotFoundError):
    """No report has this id."""

    code = "report_not_found"
    message = "This report does not exist."


class TooManyReportsError(TooManyRequestsError):
    """One user has sent as many reports as are taken in a day."""

    code = "too_many_reports"
    message = "You have reported many pictures today. Please try again later."
