"""The auth service's collections."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from auth_service.models import Account, Session, Tally
from common.clients.auth import EmailTakenError
from common.mongo import Database, DuplicateKeyError, ReturnDocument


class AccountStore:
    """The ``accounts`` collection."""

    def __init__(self, database: Database) -> None:
        self._accounts = database["accounts"]

    async def ensure_indexes(self) -> None:
        # Of ten registrations at once with one address, this lets one in.
        await self._accounts.create_index("email_key", unique=True)

    async def add(self, account: Account) -> None:
        """Insert a new account.

        Raises:
            EmailTakenError: Another has its address.
        """
        try:
            await self._accounts.insert_one(account.to_document())
        except DuplicateKeyError as error:
            raise EmailTakenError from error

    async def find(self, account_id: str) -> Account | None:
        document = await self._accounts.find_one({"_id": account_id})
        return None if document is None else Account.model_validate(document)

    async def find_by_key(self, email_key: str) -> Account | None:
        document = await self._accounts.find_one({"email_key": email_key})
        return None if document is None else Account.model_validate(document)

    async def set_identity(self, account: Account, *, from_version: int) -> bool:
        """Write who somebody is, and the versions; ``False`` if another change was faster.

        Raises:
            EmailTakenError: Another has the address; nothing was written.
        """
        fields = {"email", "email_key", "email_verified", "name", "version", "refused_version"}
        try:
            result = await self._accounts.update_one(
                {"_id": account.id, "version": from_version}, {"$set": account.model_dump(include=fields)}
            )
        except DuplicateKeyError as error:
            raise EmailTakenError from error
        return result.matched_count == 1

    async def set_password_hash(self, account_id: str, password_hash: str, *, instead_of: str) -> None:
        """Replace a hash, unless the password was changed meanwhile."""
        await self._accounts.update_one(
            {"_id": account_id, "password_hash": instead_of}, {"$set": {"password_hash": password_hash}}
        )


class SessionStore:
    """The ``sessions`` collection; MongoDB removes what has expired."""

    def __init__(self, database: Database) -> None:
        self._sessions = database["sessions"]

    async def ensure_indexes(self) -> None:
        await self._sessions.create_index("expires_at", expireAfterSeconds=0)

    async def add(self, session: Session) -> None:
        await self._sessions.insert_one(session.to_document())

    async def find(self, session_id: str) -> Session | None:
        document = await self._sessions.find_one({"_id": session_id})
        return None if document is None else Session.model_validate(document)

    async def rotate(self, session: Session, *, from_hash: str) -> bool:
        """Make a session's next token the current one; ``False`` if it was rotated or ended meanwhile."""
        fields = {"token_hash", "used_hashes", "nonce", "rotated_at", "expires_at"}
        result = await self._sessions.update_one(
            {"_id": session.id, "token_hash": from_hash, "ended_at": None},
            {"$set": session.model_dump(include=fields)},
        )
        return result.matched_count == 1

    async def end(self, session_id: str, moment: datetime) -> None:
        await self._sessions.update_one({"_id": session_id, "ended_at": None}, {"$set": {"ended_at": moment}})


class TallyStore:
    """The ``tallies`` collection: counters that all replicas share and MongoDB removes."""

    def __init__(self, database: Database) -> None:
        self._tallies = database["tallies"]

    async def ensure_indexes(self) -> None:
        await self._tallies.create_index("expires_at", expireAfterSeconds=0)

    async def find(self, ids: Sequence[str], moment: datetime) -> dict[str, Tally]:
        """Return those of ``ids`` that have a tally; one that has expired but is still there does not count."""
        cursor = self._tallies.find({"_id": {"$in": list(ids)}, "expires_at": {"$gt": moment}}).limit(len(ids))
        return {document["_id"]: Tally.model_validate(document) async for document in cursor}

    async def add(self, tally_id: str, moment: datetime, *, window: timedelta) -> Tally:
        """Count one more; the first opens the window."""
        while True:
            try:
                document = await self._tallies.find_one_and_update(
                    {"_id": tally_id, "expires_at": {"$gt": moment}},
                    {
                        "$inc": {"count": 1},
                        "$max": {"last_at": moment},
                        "$setOnInsert": {"expires_at": moment + window},
                    },
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
                return Tally.model_validate(document)
            except DuplicateKeyError:
                # Another was first at this very moment, or an expired one lies here until MongoDB's next round.
                await self._tallies.delete_one({"_id": tally_id, "expires_at": {"$lte": moment}})

    async def remove(self, tally_id: str) -> None:
        await self._tallies.delete_one({"_id": tally_id})
