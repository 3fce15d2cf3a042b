"""An auth service in memory that speaks its internal HTTP, for tests of the services that call it."""

import asyncio
import json
from enum import Enum, auto

import httpx

from common.clients.auth import AccountNotFoundError, AccountRead, AuthClient, ChangeAccountRequest, EmailTakenError
from common.clock import utc_now
from common.email_address import email_key
from common.errors import ServiceError, error_body
from common.mongo import new_id
from common.service_auth import ServiceTokenSigner
from common.testing.apps import TEST_SECRETS


class Fault(Enum):
    """What goes wrong with one call."""

    REFUSED = auto()
    """Nobody listens; nothing is done."""

    ANSWER_LOST = auto()
    """It is done, and the connection breaks before the answer."""

    SILENT = auto()
    """Nothing is done and nothing is answered, until the caller is gone."""

    DONE_SILENT = auto()
    """It is done, and nothing is answered, until the caller is gone."""


class FakeAuth:
    """Accounts by the real rules: addresses are unique, changes are ordered by version.

    Attributes:
        accounts: By id.
        calls: How many arrived.
        away: Nobody listens while this is set.
        faults: What goes wrong with the next calls, first one first.
        reached: Set when a silent fault has been met, so that a test knows when to kill the caller.
    """

    def __init__(self) -> None:
        self.accounts: dict[str, AccountRead] = {}
        self.calls = 0
        self.away = False
        self.faults: list[Fault] = []
        self.reached = asyncio.Event()
        self._refused: set[tuple[str, int]] = set()

    def add_account(self, email: str = "ada@example.com", *, name: str | None = None) -> AccountRead:
        """Make an account as registering does."""
        account = AccountRead(id=new_id(), email=email, name=name, created_at=utc_now(), version=0)
        self.accounts[account.id] = account
        return account

    def transport(self) -> httpx.MockTransport:
        """Return what an application talks to in place of a network."""
        return httpx.MockTransport(self._receive)

    def client(self) -> AuthClient:
        """Return a real client that talks to these accounts."""
        http = httpx.AsyncClient(transport=self.transport(), base_url="http://auth.test")
        return AuthClient(http, ServiceTokenSigner(TEST_SECRETS["service_secret"], caller="test"))

    async def _receive(self, request: httpx.Request) -> httpx.Response:
        fault = self.faults.pop(0) if self.faults else None
        if self.away or fault is Fault.REFUSED:
            raise httpx.ConnectError("refused", request=request)
        self.calls += 1
        if fault is Fault.SILENT:
            await self._say_nothing()
        answer = self._answer(request)
        if fault is Fault.DONE_SILENT:
            await self._say_nothing()
        if fault is Fault.ANSWER_LOST:
            raise httpx.ReadError("connection reset", request=request)
        return answer

    async def _say_nothing(self) -> None:
        self.reached.set()
        await asyncio.Event().wait()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        try:
            account = self.accounts.get(request.url.path.rpartition("/")[2])
            if account is None:
                raise AccountNotFoundError
            if request.method == "PUT":
                account = self._change(account, ChangeAccountRequest.model_validate(json.loads(request.content)))
        except ServiceError as error:
            return httpx.Response(error.status, json=error_body(error.code, error.message, error.details, "test"))
        return httpx.Response(200, json={"success": True, "data": account.model_dump(mode="json", by_alias=True)})

    def _change(self, account: AccountRead, change: ChangeAccountRequest) -> AccountRead:
        if (account.id, change.version) in self._refused:
            raise EmailTakenError
        if change.version <= account.version:
            return account
        taken = {email_key(other.email) for other in self.accounts.values() if other.id != account.id}
        if email_key(change.email) in taken:
            self._refused.add((account.id, change.version))
            self.accounts[account.id] = account.model_copy(update={"version": change.version})
            raise EmailTakenError
        changed = account.model_copy(update=change.model_dump())
        self.accounts[account.id] = changed
        return changed
