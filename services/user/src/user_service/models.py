"""What the user service stores."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from common.clients.auth import AccountRead
from common.mongo import Document

Fields: TypeAlias = Mapping[str, str | None]
"""Some of ``email``, ``name`` and ``avatar_url``, and what they become."""


class PendingChange(BaseModel):
    """A change that auth has to agree to, written down before auth is asked."""

    model_config = ConfigDict(frozen=True)

    version: int
    fields: Fields

    opened_at: datetime


class Profile(BaseModel):
    """What a user shows of themselves; ``id`` is the user's."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    id: str = Field(alias="_id")
    email: str
    name: str | None
    avatar_url: str | None = None
    version: int
    """Counts the changes that auth was asked for, whether applied or refused."""

    pending: PendingChange | None = None
    refused: list[int] = []
    """The last versions that auth refused because the address was taken."""

    created_at: datetime
    updated_at: datetime

    @classmethod
    def of_account(cls, account: AccountRead) -> "Profile":
        return cls(
            id=account.id,
            email=account.email,
            name=account.name,
            version=account.version,
            created_at=account.created_at,
            updated_at=account.created_at,
        )

    def to_document(self) -> Document:
        return self.model_dump(by_alias=True)

    def differing(self, fields: Fields) -> Fields:
        """Return those of ``fields`` that would change something."""
        current: dict[str, Any] = self.model_dump(include=set(fields))
        return {name: value for name, value in fields.items() if current[name] != value}
