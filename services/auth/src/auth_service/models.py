"""What the auth service stores, and what it hands out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from common.clock import utc_now
from common.mongo import Document, new_id


class StoredModel(BaseModel):
    """One document of a collection; its ``id`` is the document's ``_id``."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    id: str = Field(alias="_id", default_factory=new_id)

    def to_document(self) -> Document:
        return self.model_dump(by_alias=True)

    def changed(self, **changes: Any) -> Self:
        return self.model_copy(update=changes)


class Account(StoredModel):
    """Somebody who can sign in."""

    email: str
    email_key: str
    """Equal for equal addresses, whatever their case and Unicode form; unique."""

    email_verified: bool = False
    name: str | None
    password_hash: str
    version: int = 0
    """The last change asked for by the user service, whether it was applied or refused."""

    refused_version: int | None = None
    """The last change refused because its address was taken; a repeat of it is refused again."""

    created_at: datetime = Field(default_factory=utc_now)


class Session(StoredModel):
    """One device that is signed in: a family of refresh tokens of which one is current."""

    user_id: str
    token_hash: str
    """SHA-256 of the current refresh token; the token itself is kept nowhere."""

    used_hashes: list[str] = []
    """Those before it, oldest first; the last one's answer may have been lost."""

    nonce: str | None = None
    """With the token before, and only with it, makes the current one again."""

    rotated_at: datetime | None = None
    created_at: datetime = Field(default_factory=utc_now)
    expires_at: datetime
    ended_at: datetime | None = None

    def is_open(self, moment: datetime) -> bool:
        return self.ended_at is None and moment < self.expires_at


class Tally(StoredModel):
    """How often something limited has happened since the first time, and when last."""

    count: int
    last_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a device signs in with."""

    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds until the access token expires."""
