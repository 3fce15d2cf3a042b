"""What the coin service refuses, and why."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from common.errors import (
    BadRequestError,
    ConflictError,
    FieldError,
    ForbiddenError,
    NotFoundError,
    ServiceError,
    TooManyRequestsError,
)


class UnknownSourceError(FieldError):
    code = "unknown_source"
    message = "Coins cannot be earned in this way."
    field = "source"


class AmountTooLargeError(FieldError):
    code = "amount_too_large"
    message = "This is more than can be earned at once."
    field = "amount"


class EarnLimitReachedError(TooManyRequestsError):
    """Too soon after the last reward, or too many today; nothing was credited."""

    code = "earn_limit_reached"
    message = "You cannot earn more coins this way right now. Please come back later."

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after_seconds: float,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds, details=details)
        self.headers.update(headers or {})


class AmountMismatchError(FieldError):
    code = "amount_mismatch"
    message = "The payment does not match this number of coins."
    field = "amount"


class PaymentNotCompletedError(ServiceError):
    """No money has arrived, or it went back (refund, dispute)."""

    code = "payment_not_completed"
    status = HTTPStatus.PAYMENT_REQUIRED
    message = "This payment has not been completed."


class PaymentNotFoundError(NotFoundError):
    code = "payment_not_found"
    message = "This payment does not exist."


class PaymentAlreadyUsedError(ConflictError):
    """It is bound to another user."""

    code = "payment_already_used"
    message = "This payment was already used."


class PaymentProviderUnavailableError(ServiceError):
    """The vendor gave no usable answer: nothing is known of the payment, and nothing was credited."""

    code = "payment_provider_unavailable"
    status = HTTPStatus.BAD_GATEWAY
    message = "The payment could not be checked right now. Please try again in a moment."


class VerificationRequiredError(ForbiddenError):
    """This reward is only credited on the word of who gives it."""

    code = "verification_required"
    message = "This reward is credited once the ad network has confirmed it."


class InvalidSignatureError(BadRequestError):
    """It is not from whom it says, or was changed on the road."""

    code = "invalid_signature"
    message = "The signature is not valid."


class AdVerificationUnavailableError(ServiceError):
    """The ad network's keys cannot be had: nothing is known of the reward, and nothing was credited."""

    code = "verification_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "The reward could not be verified right now. Please try again in a moment."


class AmountNotPayableError(FieldError):
    """The vendor does not charge so little, or so much."""

    code = "amount_not_payable"
    message = "This number of coins cannot be bought at once."
    field = "amount"


class UnknownPackError(FieldError):
    code = "unknown_pack"
    message = "There is no such pack."
    field = "packId"


class WebhooksNotConfiguredError(ServiceError):
    """The secret or address that proves a vendor's messages is not set."""

    code = "webhooks_not_configured"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "Notifications cannot be verified here."
