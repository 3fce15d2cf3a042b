"""The rules of profiles: who somebody is lives in auth, how they show themselves here."""

from collections.abc import Callable
from datetime import datetime, timedelta

from common.clients.auth import AccountNotFoundError, AuthClient, EmailTakenError
from common.clock import utc_now
from common.errors import InvalidTokenError, UpstreamError
from common.logging import get_logger
from user_service.models import Fields, PendingChange, Profile
from user_service.store import ProfileStore

logger = get_logger(__name__)

OF_THE_ACCOUNT = frozenset({"email", "name"})
"""What auth has to agree to."""

HEAL_BATCH = 50


class ProfileService:
    """Reads and changes profiles.

    A change of address or name is written into the profile first, then sent to auth under a version, then applied. A
    process may die between any two of these: whoever finds the change pending repeats it under its version.
    """

    def __init__(self, profiles: ProfileStore, auth: AuthClient, *, now: Callable[[], datetime] = utc_now) -> None:
        self._profiles = profiles
        self._auth = auth
        self._now = now

    async def get(self, user_id: str) -> Profile:
        """Return a user's profile; the first call makes it from the account.

        Raises:
            InvalidTokenError: The account is gone.
            ServiceUnavailableError: This is the first call and auth is away.
        """
        while (profile := await self._profiles.find(user_id)) is None:
            try:
                account = await self._auth.account(user_id)
            except AccountNotFoundError as error:
                raise InvalidTokenError from error
            await self._profiles.add(Profile.of_account(account))
        return profile

    async def change(self, user_id: str, fields: Fields) -> Profile:
        """Change some of ``email``, ``name`` and ``avatar_url``, all of them or none.

        Raises:
            EmailTakenError: Another account has the address; nothing changed.
            InvalidTokenError: The account is gone.
            ServiceUnavailableError: Auth is away. The change is written down and will be made when it is back.
            UpstreamTimeoutError: It is not known yet whether auth agrees; this settles itself within seconds.
        """
        while True:
            profile = await self.get(user_id)
            changes = profile.differing(fields)
            asks_auth = not OF_THE_ACCOUNT.isdisjoint(changes)
            if profile.pending is not None and (asks_auth or not profile.pending.fields.keys().isdisjoint(fields)):
                await self._settle(profile, profile.pending)  # one after the other
                continue
            if not changes:
                return profile
            if not asks_auth:
                await self._profiles.set_avatar(user_id, changes["avatar_url"], self._now())
                return await self.get(user_id)
            pending = PendingChange(version=profile.version + 1, fields=changes, opened_at=self._now())
            if await self._profiles.open_change(profile, pending):
                await self._settle(profile, pending)
                return await self._outcome(user_id, pending)

    async def heal(self, *, older_than: timedelta) -> int:
        """Finish changes that were left half-way; returns how many were looked at.

        Raises:
            ServiceUnavailableError: Auth is away; they stay for the next time, as with every error.
        """
        profiles = await self._profiles.find_pending(opened_before=self._now() - older_than, limit=HEAL_BATCH)
        for profile in profiles:
            assert profile.pending is not None  # noqa: S101 - it was found by it
            try:
                await self._settle(profile, profile.pending)
            except InvalidTokenError:
                logger.info("change dropped, the account is gone", user_id=profile.id)
            except UpstreamError:
                logger.exception("change cannot be made", user_id=profile.id, version=profile.pending.version)
        return len(profiles)

    async def _settle(self, profile: Profile, pending: PendingChange) -> None:
        """Ask auth and end a pending change accordingly; any number of processes may do so at once."""
        email = pending.fields.get("email", profile.email)
        name = pending.fields.get("name", profile.name)
        assert email is not None  # noqa: S101 - only name and avatar can be cleared
        try:
            await self._auth.change_account(profile.id, email=email, name=name, version=pending.version)
        except EmailTakenError:
            await self._profiles.refuse_change(profile.id, pending)
        except AccountNotFoundError as error:
            await self._profiles.refuse_change(profile.id, pending)
            raise InvalidTokenError from error
        else:
            await self._profiles.apply_change(profile.id, pending, self._now())

    async def _outcome(self, user_id: str, pending: PendingChange) -> Profile:
        # The profile knows best: somebody else may have ended our change before we did.
        profile = await self.get(user_id)
        if pending.version in profile.refused:
            raise EmailTakenError
        return profile
