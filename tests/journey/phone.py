"""A user with a phone: registered, signed in, and always asking the gateway."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from journey.answers import Json, data

TIMEOUT_SECONDS = 60.0
"""A phone's patience; what must be quicker is bounded by its own test."""

PASSWORD = "correct horse battery staple"


def fresh_email(name: str = "ada") -> str:
    """An address nobody has registered."""
    return f"{name}.{uuid4().hex}@example.com"


def fresh_payment(*, markers: str = "", prefix: str = "txn") -> str:
    """A payment's id that Stripe was never asked for; ``markers`` are the sandbox's words for other outcomes."""
    return f"{prefix}_sandbox{markers}x{uuid4().hex}" if markers else f"{prefix}_{uuid4().hex}"


def fresh_purchase(story: str = "") -> str:
    """A Google Play purchase token never seen before; ``story`` is the sandbox's word for another state."""
    return f"token-{uuid4().hex}" + (f".sandbox-{story}" if story else "")


@dataclass(frozen=True)
class Account:
    """What registering answered, and the password that was sent."""

    id: str
    email: str
    password: str
    token: str
    refresh_token: str

    @classmethod
    def of(cls, session: Json, password: str) -> "Account":
        user = session["user"]
        return cls(user["id"], user["email"], password, session["token"], session["refreshToken"])


class Caller:
    """Asks the gateway without being anybody."""

    def __init__(self, http: httpx.AsyncClient, token: str | None = None) -> None:
        self.http = http
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}

    async def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {**self._authorization, **arguments.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **arguments)

    async def get(self, path: str, **query: str | int) -> httpx.Response:
        return await self.send("GET", path, params=query or None)

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        """Post JSON, with an idempotency key if one is given."""
        headers: Mapping[str, str] = {"Idempotency-Key": key} if key is not None else {}
        return await self.send("POST", path, json=body, headers=headers)

    async def put(self, path: str, body: Any) -> httpx.Response:
        return await self.send("PUT", path, json=body)

    async def delete(self, path: str) -> httpx.Response:
        return await self.send("DELETE", path)


class Phone(Caller):
    """Asks the gateway as one user."""

    def __init__(self, http: httpx.AsyncClient, account: Account) -> None:
        super().__init__(http, account.token)
        self.account = account

    async def wallet(self) -> tuple[int, int]:
        """The coins that can be spent, and those that are held."""
        content = data(await self.get("/api/coin/balance"))
        return content["balance"], content["held"]

    async def balance(self) -> int:
        """The coins that can be spent; asserts that none are held."""
        balance, held = await self.wallet()
        assert held == 0, f"{held} coins are still held"
        return balance

    async def transactions(self) -> list[Json]:
        """All entries of the ledger, newest first."""
        entries: list[Json] = []
        cursor: dict[str, str] = {}
        while True:
            content = data(await self.get("/api/coin/transactions", limit=100, **cursor))
            entries += content["transactions"]
            if not content["pagination"]["hasNext"]:
                return entries
            cursor = {"cursor": content["pagination"]["nextCursor"]}


NewPhone = Callable[[], Awaitable[Phone]]
"""The fixture ``new_phone``: registers one more user."""
