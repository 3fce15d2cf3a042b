"""What the user service takes and answers."""

from typing import Annotated

from pydantic import AfterValidator, AnyHttpUrl, Field, TypeAdapter, ValidationError, WithJsonSchema

from common.email_address import EmailAddress
from common.schemas import ObjectIdStr, PersonName, ReadModel, RequestModel, Text, Timestamp
from user_service.models import Fields, Profile

MAX_URL_CHARACTERS = 2048

_url = TypeAdapter(AnyHttpUrl)


def parse_avatar_url(text: str) -> str:
    """Return an address of the web in its plain form; it is never opened, only handed to apps.

    Raises:
        ValueError: It is not http or https, too long, or holds a password or what would not survive a header line.
    """
    trimmed = text.strip()
    if len(trimmed) > MAX_URL_CHARACTERS:
        raise ValueError(f"must be at most {MAX_URL_CHARACTERS} characters")
    try:
        address = _url.validate_python(trimmed)
    except ValidationError as error:
        raise ValueError("must be an http or https address") from error
    # The parser drops line breaks and tabs within an address without a word.
    if not trimmed.isprintable() or address.username is not None or address.password is not None:
        raise ValueError("must be an http or https address without a user name")
    plain = str(address)
    if len(plain) > MAX_URL_CHARACTERS:
        raise ValueError(f"must be at most {MAX_URL_CHARACTERS} characters")
    return plain


AvatarUrl = Annotated[
    Text,
    AfterValidator(parse_avatar_url),
    WithJsonSchema({"type": "string", "format": "uri", "maxLength": MAX_URL_CHARACTERS}),
]


class ChangeProfileRequest(RequestModel):
    """Only what is sent changes; ``null`` clears a name or a picture."""

    # Not nullable, yet not required: the factory is never used, for only fields that were sent are read.
    email: EmailAddress = Field(default_factory=str)
    name: PersonName | None = None
    avatar_url: AvatarUrl | None = None

    def to_fields(self) -> Fields:
        return self.model_dump(include=self.model_fields_set)


class ProfileRead(ReadModel):
    """A user's profile."""

    id: ObjectIdStr
    email: str
    name: str | None
    avatar_url: str | None
    created_at: Timestamp
    updated_at: Timestamp

    @classmethod
    def from_profile(cls, profile: Profile) -> "ProfileRead":
        return cls.model_validate(profile.model_dump())
