"""Stripe, Google Play, AdMob and auth on the wire, and the service between them."""

import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, unquote

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from coin_service.holds import HoldService
from coin_service.ledger import Ledger
from coin_service.main import Roads, create_app
from coin_service.service import CoinService
from coin_service.settings import Settings
from coin_service.store import LedgerStore
from common.mongo import Database
from common.testing import app_client, service_settings
from common.testing.auth import FakeAuth

STRIPE_KEY = "sk_test_of_the_tests"
PACKAGE = "com.example.app"

Answer = int | bytes | Exception | httpx.Response


class Vendor:
    """What any vendor does: answer, or fail first.

    Attributes:
        answers: Instead of the next answers: a status, a body, the error of a broken connection, a whole response.
        asked: Method and path of every call.
        handler: Takes the calls instead, if set.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[str] = []
        self.handler: Callable[[httpx.Request], Awaitable[httpx.Response]] | None = None

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._receive)

    async def _receive(self, request: httpx.Request) -> httpx.Response:
        if self.handler is not None:
            return await self.handler(request)
        self.asked.append(f"{request.method} {request.url.raw_path.decode()}")
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, httpx.Response):
                return answer
            if isinstance(answer, bytes):
                return httpx.Response(200, content=answer)
            return httpx.Response(answer, json={"error": {"message": "In the vendor's words."}})
        return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was not expected")


class FakeStripe(Vendor):
    """Payments by their ids; one is ``pi_X`` with its charge ``ch_X`` and its balance transaction ``txn_X``.

    Attributes:
        objects: What Stripe says of an id.
        disputes: By charge, the states of its disputes.
        returned: What the lists of refunds and disputes say.
        made: By idempotency key, the PaymentIntents that were asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, dict[str, Any]] = {}
        self.disputes: dict[str, list[str]] = {}
        self.returned: dict[str, list[dict[str, Any]]] = {"refunds": [], "disputes": []}
        self.made: dict[str, dict[str, Any]] = {}

    def pay(self, key: str, *, amount: int = 100, charge: dict[str, Any] | None = None, **intent: Any) -> str:
        """Make a succeeded payment; ``charge`` and the other arguments change what Stripe says of it."""
        common = {"currency": "usd", "livemode": False, "metadata": {}}
        self.objects[f"ch_{key}"] = {
            **common,
            "id": f"ch_{key}",
            "object": "charge",
            "amount_captured": amount,
            "amount_refunded": 0,
            "captured": True,
            "disputed": False,
            "paid": True,
            "payment_intent": f"pi_{key}",
            "refunded": False,
            "status": "succeeded",
            **(charge or {}),
        }
        self.objects[f"pi_{key}"] = {
            **common,
            "id": f"pi_{key}",
            "object": "payment_intent",
            "amount_received": amount,
            "latest_charge": f"ch_{key}",
            "status": "succeeded",
            **intent,
        }
        self.objects[f"txn_{key}"] = {
            "id": f"txn_{key}",
            "object": "balance_transaction",
            "source": f"ch_{key}",
            "type": "charge",
        }
        return f"pi_{key}"

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == f"Bearer {STRIPE_KEY}"
        assert request.headers["Stripe-Version"]
        name = request.url.path.rpartition("/")[2]
        if request.method == "POST":
            return self._make(request)
        if "charge" in request.url.params:
            states = self.disputes.get(request.url.params["charge"], [])
            return httpx.Response(200, json={"data": [{"id": "dp_1", "status": state} for state in states]})
        if name in self.returned:
            return httpx.Response(200, json=self._page(self.returned[name], request.url.params.get("starting_after")))
        found = self.objects.get(name)
        if found is None:
            return httpx.Response(404, json={"error": {"code": "resource_missing"}})
        if request.url.params.get("expand[]") == "latest_charge" and isinstance(found["latest_charge"], str):
            found = {**found, "latest_charge": self.objects[found["latest_charge"]]}
        return httpx.Response(200, json=found)

    def refund(self, key: str, amount: int, *, of: int = 100) -> None:
        """Have refunded so much of a payment up to now."""
        self.objects[f"ch_{key}"] |= {"amount_refunded": amount, "refunded": amount == of}

    def _make(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode()))
        if int(form["amount"]) < 50:
            return httpx.Response(400, json={"error": {"code": "amount_too_small"}})
        key = f"{len(self.made):08}new"
        made = self.made.setdefault(request.headers["Idempotency-Key"], {"form": form, "key": key})
        if made["form"] != form:
            return httpx.Response(400, json={"error": {"type": "idempotency_error"}})
        if made["key"] == key:
            metadata = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
            self.pay(
                key,
                amount=int(form["amount"]),
                status="requires_payment_method",
                amount_received=0,
                latest_charge=None,
                metadata=metadata,
                client_secret=f"pi_{key}_secret_xyz",
                currency=form["currency"],
            )
            self.objects[f"pi_{key}"]["amount"] = int(form["amount"])
        return httpx.Response(200, json=self.objects[f"pi_{made['key']}"])

    @staticmethod
    def _page(items: list[dict[str, Any]], after: str | None) -> dict[str, Any]:
        start = next((n + 1 for n, item in enumerate(items) if item["id"] == after), 0)
        return {"data": items[start : start + 2], "has_more": len(items) > start + 2}


class FakePlay(Vendor):
    """One-time products by their purchase tokens, and the address where access tokens come from.

    Attributes:
        purchases: What Google says of a token.
        consumed: Tokens, in the order in which they were consumed.
        access_token: The one that is good.
        voided: What the list of voided purchases says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.purchases: dict[str, dict[str, Any]] = {}
        self.consumed: list[str] = []
        self.access_token = "ya29.one"
        self.voided: list[dict[str, Any]] = []

    def sell(self, token: str, **purchase: Any) -> str:
        self.purchases[token] = {"purchaseState": 0, "consumptionState": 0, "acknowledgementState": 0, **purchase}
        return token

    @property
    def token_transport(self) -> httpx.MockTransport:
        def give(_: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"access_token": self.access_token, "expires_in": 3599})

        return httpx.MockTransport(give)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers["Authorization"] != f"Bearer {self.access_token}":
            return httpx.Response(401, json={"error": {"code": 401}})
        path, _, verb = request.url.raw_path.decode().partition(":")
        if request.url.path == f"/androidpublisher/v3/applications/{PACKAGE}/purchases/voidedpurchases":
            return self._list_voided(request)
        head, _, token = path.rpartition("/")
        assert head.startswith(f"/androidpublisher/v3/applications/{PACKAGE}/purchases/products/")
        purchase = self.purchases.get(unquote(token))
        if purchase is None:
            return httpx.Response(404, json={"error": {"code": 404}})
        if verb == "consume":
            if purchase["consumptionState"]:
                return httpx.Response(400, json={"error": {"errors": [{"reason": "productNotOwnedByUser"}]}})
            purchase["consumptionState"] = 1
            self.consumed.append(unquote(token))
            return httpx.Response(204)
        return httpx.Response(200, json=purchase)

    def _list_voided(self, request: httpx.Request) -> httpx.Response:
        """Pages of two."""
        assert int(request.url.params["startTime"]) > 1_700_000_000_000
        start = int(request.url.params.get("token", "0"))
        if not self.voided:
            return httpx.Response(200, json={})
        rest = {"tokenPagination": {"nextPageToken": str(start + 2)}} if start + 2 < len(self.voided) else {}
        return httpx.Response(200, json={"voidedPurchases": self.voided[start : start + 2], **rest})


class FakeAdMob(Vendor):
    """The key server, and the one who signs."""

    def __init__(self) -> None:
        super().__init__()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.key_id = 2**40 + 7
        self.headers = {"Cache-Control": "private, max-age=3600"}

    def sign(self, signed: str, *, raw: str | None = None) -> bytes:
        """Return the query of a callback: what is signed, and how it is sent, by default with every value escaped."""
        if raw is None:
            parts = [part.partition("=") for part in signed.split("&")]
            raw = "&".join(f"{name}={quote(value, safe='')}" for name, _, value in parts)
        signature = base64.urlsafe_b64encode(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))).decode()
        return f"{raw}&signature={signature.rstrip('=')}&key_id={self.key_id}".encode()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        der = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        keys = [{"keyId": self.key_id, "pem": "", "base64": base64.b64encode(der).decode()}]
        return httpx.Response(200, json={"keys": keys}, headers=self.headers)


class FakeCertificates(Vendor):
    """Google's certificates, and the one who signs pushes."""

    audience = "https://api.example.com/api/coin/webhooks/google-play"
    email = "push@project.iam.gserviceaccount.com"

    def __init__(self) -> None:
        super().__init__()
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def sign(self, **claims: Any) -> str:
        now = int(time.time())
        genuine: dict[str, Any] = {"aud": self.audience, "email": self.email, "email_verified": True}
        genuine |= {"iss": "https://accounts.google.com", "iat": now, "exp": now + 3600}
        return "Bearer " + jwt.encode(genuine | claims, self.key, algorithm="RS256", headers={"kid": "one"})

    def _answer(self, request: httpx.Request) -> httpx.Response:
        public = self.key.public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return httpx.Response(200, json={"one": pem.decode()})


class OpenClient(Protocol):
    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]: ...


@pytest.fixture
def auth() -> FakeAuth:
    return FakeAuth()


@pytest.fixture
def ada(auth: FakeAuth) -> str:
    """The id of a user."""
    return auth.add_account("ada@example.com").id


@pytest.fixture
def bob(auth: FakeAuth) -> str:
    return auth.add_account("bob@example.com").id


@pytest.fixture
def stripe() -> FakeStripe:
    return FakeStripe()


@pytest.fixture
def play() -> FakePlay:
    return FakePlay()


@pytest.fixture
def admob() -> FakeAdMob:
    return FakeAdMob()


@pytest.fixture
def certificates() -> FakeCertificates:
    return FakeCertificates()


@pytest_asyncio.fixture
async def store(database: Database) -> LedgerStore:
    store = LedgerStore(database)
    await store.ensure_schema()
    return store


@pytest.fixture
def ledger(store: LedgerStore, auth: FakeAuth) -> Ledger:
    return Ledger(store, auth.client(), signup_bonus_coins=100)


@pytest.fixture
def coins(ledger: Ledger) -> CoinService:
    return CoinService(ledger)


@pytest.fixture
def holds(ledger: Ledger) -> HoldService:
    return HoldService(ledger)


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A service account's key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    content = {
        "type": "service_account",
        "client_email": "play@project.iam.gserviceaccount.com",
        "private_key": pem.decode(),
        "token_uri": "http://google.test/token",
    }
    path = tmp_path_factory.mktemp("google") / "play.json"
    path.write_text(json.dumps(content))
    yield path
    path.unlink()


@pytest.fixture
def open_client(
    mongo_uri: str,
    database: Database,
    database_name: str,
    auth: FakeAuth,
    stripe: FakeStripe,
    play: FakePlay,
    admob: FakeAdMob,
    certificates: FakeCertificates,
    key_file: Path,
) -> OpenClient:
    """Start the application on the test's database and talk to it."""

    @asynccontextmanager
    async def client(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        values: dict[str, Any] = {
            "stripe_secret_key": STRIPE_KEY,
            "google_application_credentials": key_file,
            "google_play_packages": f"{PACKAGE},com.example.other",
            **settings,
        }
        app = create_app(
            service_settings(Settings, mongo_uri, database_name, **values),
            roads=Roads(
                auth.transport(),
                stripe.transport,
                play.transport,
                play.token_transport,
                admob.transport,
                certificates.transport,
            ),
        )
        async with app_client(app) as opened:
            yield opened

    return client


@pytest_asyncio.fixture
async def client(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client() as opened:
        yield opened
