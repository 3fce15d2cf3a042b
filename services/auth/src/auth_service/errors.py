"""What the auth service refuses."""

from collections.abc import Mapping
from http import HTTPStatus

from common.errors import InvalidTokenError, ServiceError, ServiceUnavailableError, TooManyRequestsError


class InvalidCredentialsError(ServiceError):
    """The same answer whether the e-mail address is unknown or the password is wrong."""

    code = "invalid_credentials"
    status = HTTPStatus.UNAUTHORIZED
    message = "The e-mail address or the password is wrong, so no token was issued."

    def __init__(self, *, rate_limit: Mapping[str, str]) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer", **rate_limit})


class TooManyAttemptsError(TooManyRequestsError):
    """Somebody has to wait; open sessions go on."""

    code = "too_many_attempts"
    message = "There were too many attempts. Please wait a little and try again."

    def __init__(self, *, retry_after_seconds: float, rate_limit: Mapping[str, str]) -> None:
        super().__init__(retry_after_seconds=retry_after_seconds)
        self.headers.update(rate_limit)


class PasswordsBusyError(ServiceUnavailableError):
    """The line for the password check is full or slow; nothing was tried and nothing counted."""

    message = "Too many people are signing in right now. Please try again in a moment."


class InvalidRefreshTokenError(InvalidTokenError):
    """The refresh token is malformed or unknown, or its session has ended."""

    message = "The refresh token is not valid. Please sign in again."


class TokenReusedError(InvalidTokenError):
    """A refresh token came back after its successor was used: one of the two holders is a thief."""

    code = "token_reused"
    message = "This refresh token was already used, so the session was ended. Please sign in again."
