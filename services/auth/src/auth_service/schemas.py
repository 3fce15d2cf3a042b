"""What the auth service takes and answers."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from auth_service.models import Account, TokenPair
from auth_service.passwords import MAX_CHARACTERS, MIN_CHARACTERS, check_new_password, compose
from common.email_address import EmailAddress
from common.schemas import ObjectIdStr, PersonName, ReadModel, RequestModel, Timestamp

MAX_TYPED_CHARACTERS = 4 * MAX_CHARACTERS
"""A password as it is sent may be in a longer Unicode form than it is compared in."""


class RegisterRequest(RequestModel):
    """A new account."""

    email: EmailAddress
    password: str = Field(
        max_length=MAX_TYPED_CHARACTERS,
        description=f"{MIN_CHARACTERS} to {MAX_CHARACTERS} characters of any kind; the commonest passwords are refused",
        examples=["correct horse battery"],
    )
    name: PersonName | None = None

    @field_validator("password")
    @classmethod
    def _must_not_be_guessed_first(cls, value: str, info: ValidationInfo) -> str:
        return check_new_password(value, info.data.get("email"))


class LoginRequest(RequestModel):
    """An account's e-mail address and password."""

    email: EmailAddress
    password: Annotated[str, AfterValidator(compose)] = Field(
        min_length=1, max_length=MAX_TYPED_CHARACTERS, examples=["correct horse battery"]
    )


class RefreshRequest(RequestModel):
    """The refresh token of the last answer."""

    refresh_token: str = Field(max_length=512)


class UserRead(ReadModel):
    """Who signed in."""

    id: ObjectIdStr
    email: str
    name: str | None
    email_verified: bool
    created_at: Timestamp

    @classmethod
    def from_account(cls, account: Account) -> "UserRead":
        return cls(
            id=account.id,
            email=account.email,
            name=account.name,
            email_verified=account.email_verified,
            created_at=account.created_at,
        )


class TokenPairRead(ReadModel):
    """What to call with (``token``) and what to get the next one with (``refreshToken``)."""

    token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a word of the protocol
    expires_in: int = Field(description="Seconds until `token` expires")

    @classmethod
    def from_pair(cls, pair: TokenPair) -> "TokenPairRead":
        return cls(token=pair.access_token, refresh_token=pair.refresh_token, expires_in=pair.expires_in)


class SignedInRead(TokenPairRead):
    """A new session and whose it is."""

    user: UserRead

    @classmethod
    def of(cls, account: Account, pair: TokenPair) -> "SignedInRead":
        return cls(user=UserRead.from_account(account), **TokenPairRead.from_pair(pair).model_dump())
