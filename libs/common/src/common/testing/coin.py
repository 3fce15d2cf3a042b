"""A coin service in memory that speaks its internal HTTP, for tests of the services that call it."""

import json
from typing import Any

import httpx

from common.clients.auth import AccountNotFoundError
from common.clients.coin import (
    CoinClient,
    HoldNotCapturedError,
    HoldNotFoundError,
    HoldResolvedError,
    InsufficientCoinsError,
    RefundTooLargeError,
)
from common.errors import IdempotencyKeyReusedError, ServiceError, error_body
from common.service_auth import ServiceTokenSigner
from common.testing.apps import TEST_SECRETS


class FakeCoin:
    """One wallet for everybody; holds, captures, voids and refunds by the real rules.

    Attributes:
        balance: Coins that can be spent.
        captured: By hold, how many coins were taken.
        refunded: By hold, how many of them were given back.
        has_account: ``False`` for somebody who is gone and never had a wallet.
        fail_next: Statuses or errors with which the next calls are answered instead, first one first.
    """

    def __init__(self, *, balance: int = 0) -> None:
        self.balance = balance
        self.has_account = True
        self.captured: dict[str, int] = {}
        self.refunded: dict[str, int] = {}
        self.fail_next: list[int | ServiceError] = []
        self._holds: dict[str, int] = {}
        self._ended: dict[str, str] = {}
        self._refunds: dict[str, tuple[str, int]] = {}

    @property
    def held(self) -> int:
        """Coins in open holds."""
        return sum(coins for key, coins in self._holds.items() if key not in self._ended)

    def client(self) -> CoinClient:
        """Return a real client that talks to this wallet."""
        http = httpx.AsyncClient(transport=self.transport(), base_url="http://coin.test")
        return CoinClient(http, ServiceTokenSigner(TEST_SECRETS["service_secret"], caller="test"))

    def transport(self) -> httpx.MockTransport:
        """Return what carries requests to this wallet, for an application that makes its own client."""
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.fail_next:
            fault = self.fail_next.pop(0)
            status, code = (fault, "internal_error") if isinstance(fault, int) else (fault.status, fault.code)
            return httpx.Response(status, json=error_body(code, "failed on purpose", None, "test"))
        body: dict[str, Any] = json.loads(request.content or b"{}")
        try:
            if not self.has_account:
                raise AccountNotFoundError
            match request.url.path.split("/")[2]:
                case "holds":
                    self._hold(body["key"], body["coins"])
                case "captures":
                    self._capture(body["key"], body["coins"])
                case "voids":
                    self._void(body["key"])
                case "refunds":
                    self._refund(body["holdKey"], body["key"], body["coins"])
        except ServiceError as error:
            return httpx.Response(error.status, json=error_body(error.code, error.message, error.details, "test"))
        return httpx.Response(200, json={"success": True, "data": {"balance": self.balance, "held": self.held}})

    def _hold(self, key: str, coins: int) -> None:
        if key in self._ended:
            raise HoldResolvedError
        if key in self._holds:
            return
        if coins > self.balance:
            raise InsufficientCoinsError(details={"required": coins, "balance": self.balance})
        self.balance -= coins
        self._holds[key] = coins

    def _capture(self, key: str, coins: int) -> None:
        if self._ended.get(key) == "captured":
            return
        if key in self._ended:
            raise HoldResolvedError
        if key not in self._holds:
            raise HoldNotFoundError
        self.balance += self._holds[key] - coins
        self.captured[key] = coins
        self._ended[key] = "captured"

    def _void(self, key: str) -> None:
        if self._ended.get(key) == "captured":
            raise HoldResolvedError
        if key not in self._ended:
            self.balance += self._holds.get(key, 0)
            self._ended[key] = "void"

    def _refund(self, hold_key: str, key: str, coins: int) -> None:
        if key in self._refunds:
            if self._refunds[key] != (hold_key, coins):
                raise IdempotencyKeyReusedError
            return
        if self._ended.get(hold_key) == "void":
            raise HoldResolvedError
        if hold_key not in self._holds:
            raise HoldNotFoundError
        if hold_key not in self.captured:
            raise HoldNotCapturedError
        captured, refunded = self.captured[hold_key], self.refunded.get(hold_key, 0)
        if coins > captured - refunded:
            raise RefundTooLargeError(details={"captured": captured, "refunded": refunded})
        self.refunded[hold_key] = refunded + coins
        self.balance += coins
        self._refunds[key] = (hold_key, coins)
