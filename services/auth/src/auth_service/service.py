"""The rules of signing up and signing in."""

from dataclasses import dataclass
from datetime import timedelta

from auth_service.errors import InvalidCredentialsError
from auth_service.limits import Allowance, Limit, Limiter
from auth_service.models import Account, TokenPair
from auth_service.passwords import PasswordHasher
from auth_service.sessions import SessionService
from auth_service.settings import Settings
from auth_service.store import AccountStore
from common.clients.auth import AccountNotFoundError, EmailTakenError
from common.email_address import email_key


@dataclass(frozen=True, slots=True)
class Limits:
    """What is counted, and how far."""

    failures_per_account: Limit
    failures_per_address: Limit
    registrations_per_address: Limit

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        day, hour = timedelta(days=1), timedelta(hours=1)
        return cls(
            Limit("login-account", settings.login_failures_per_account, day),
            Limit("login-address", settings.login_failures_per_address, hour),
            Limit("register-address", settings.registrations_per_address, hour),
        )


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody with a new session, and what is left of the limit on trying."""

    account: Account
    tokens: TokenPair
    allowance: Allowance


class AuthService:
    """Signs people up and in."""

    def __init__(
        self,
        accounts: AccountStore,
        sessions: SessionService,
        passwords: PasswordHasher,
        limiter: Limiter,
        limits: Limits,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._limiter = limiter
        self._limits = limits

    async def register(self, email: str, password: str, *, name: str | None, address: str) -> SignedIn:
        """Make an account and sign it in; ``address`` is the client's, on which attempts are counted.

        Raises:
            EmailTakenError: There is an account with this address.
            TooManyAttemptsError: Too many registrations from the client's address.
            PasswordsBusyError: Too many people at once.
        """
        counted = self._limits.registrations_per_address.of(address)
        await self._limiter.check(counted)
        # A refused one counts too: it tells whether an address is registered.
        allowance = await self._limiter.count(counted)
        key = email_key(email)
        async with self._passwords.slot() as passwords:
            if await self._accounts.find_by_key(key) is not None:
                raise EmailTakenError  # the index below would find it too, but after the work of a hash
            password_hash = await passwords.hash(password)
        account = Account(email=email, email_key=key, name=name, password_hash=password_hash)
        await self._accounts.add(account)
        return SignedIn(account, await self._sessions.open(account), allowance)

    async def login(self, email: str, password: str, *, address: str) -> SignedIn:
        """Sign somebody in; an unknown e-mail address is answered, counted and worked on as a known one.

        Raises:
            InvalidCredentialsError: The e-mail address or the password is wrong.
            TooManyAttemptsError: Too many failures on the account or from the client's address.
            PasswordsBusyError: Too many people at once.
        """
        key = email_key(email)
        on_account = self._limits.failures_per_account.of(key)
        on_address = self._limits.failures_per_address.of(address)
        await self._limiter.check(on_account, on_address)
        async with self._passwords.slot() as passwords:
            # Again, because those before in the line may have failed: a burst of guesses gets no further than a few.
            await self._limiter.check(on_account, on_address)
            account = await self._accounts.find_by_key(key)
            matches = await passwords.verify(password, account.password_hash if account else None)
            if account is None or not matches:
                allowance = await self._limiter.count(on_account, on_address)
                raise InvalidCredentialsError(rate_limit=allowance.headers())
            if passwords.is_outdated(account.password_hash):
                password_hash = await passwords.hash(password)
                await self._accounts.set_password_hash(account.id, password_hash, instead_of=account.password_hash)
        await self._limiter.forget(on_account)
        tokens = await self._sessions.open(account)
        return SignedIn(account, tokens, await self._limiter.allowance(on_account, on_address))


class AccountService:
    """Accounts as the other services need them."""

    def __init__(self, accounts: AccountStore) -> None:
        self._accounts = accounts

    async def get(self, account_id: str) -> Account:
        """Return an account.

        Raises:
            AccountNotFoundError: There is none.
        """
        account = await self._accounts.find(account_id)
        if account is None:
            raise AccountNotFoundError
        return account

    async def change(self, account_id: str, *, email: str, name: str | None, version: int) -> Account:
        """Apply a change once; one that is not newer than the last does nothing.

        A refusal takes the version as well, so that a copy of it which was delayed on the road cannot be let in later,
        when the address has become free and the user has long been told that it was taken.

        Raises:
            AccountNotFoundError: There is none.
            EmailTakenError: Another account has the address, or had it when this version was first refused.
        """
        while (account := await self.get(account_id)).version < version:
            key = email_key(email)
            changed = account.changed(
                email=email,
                email_key=key,
                email_verified=account.email_verified and key == account.email_key,
                name=name,
                version=version,
            )
            try:
                if await self._accounts.set_identity(changed, from_version=account.version):
                    return changed
            except EmailTakenError:
                refused = account.changed(version=version, refused_version=version)
                await self._accounts.set_identity(refused, from_version=account.version)
        if version == account.refused_version:
            raise EmailTakenError
        return account
