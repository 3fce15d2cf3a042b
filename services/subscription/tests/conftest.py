"""Google Play on the wire, a clock to turn, and the service between the two."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from common.clock import format_timestamp
from common.mongo import Database
from common.testing import app_client, service_settings, user_headers
from subscription_service.main import create_app
from subscription_service.providers.google_play import GooglePlay
from subscription_service.service import SubscriptionService
from subscription_service.settings import Settings
from subscription_service.store import SubscriptionStore

PACKAGE = "com.example.app"
PRODUCT = "pro_monthly"

_PATH = re.compile(
    rb"/androidpublisher/v3/applications/(?P<package>[^/?]+)/purchases/"
    rb"(?:subscriptionsv2|subscriptions/(?P<product>[^/?]+))/tokens/(?P<token>[^/?:]+)(?P<verb>:acknowledge)?"
)


class Clock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.now = datetime(2026, 10, 1, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += timedelta(**by)


class FakePlay:
    """Android Publisher's two calls; ``answers`` come first, one a call, then what ``purchases`` hold.

    Attributes:
        purchases: What Google says of a token.
        answers: A status with or without a body, bytes, or the exception of a broken connection.
        reads: Tokens asked about.
        acknowledged: Package, product and token of each acknowledgement that was accepted.
        paths: Raw paths asked for.
        package: The one app that Google knows.
        gate: Answers wait until it is set.
        asked: Set by every read.
        accepted: Set by every acknowledgement that was accepted.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.purchases: dict[str, dict[str, Any]] = {}
        self.answers: list[int | bytes | Exception | httpx.Response] = []
        self.acknowledge_answers: list[int] = []
        self.reads: list[str] = []
        self.acknowledged: list[tuple[str, str, str]] = []
        self.paths: list[bytes] = []
        self.package = PACKAGE
        self.gate: asyncio.Event | None = None
        self.asked = asyncio.Event()
        self.accepted = asyncio.Event()

    def put(self, token: str, state: str = "ACTIVE", *, days: float | None = 30, **members: Any) -> dict[str, Any]:
        """Have Google know a purchase that ends in ``days`` days by the clock; ``None`` leaves the time out."""
        item: dict[str, Any] = {"productId": PRODUCT, "autoRenewingPlan": {"autoRenewEnabled": True}}
        if days is not None:
            item["expiryTime"] = format_timestamp(self.clock.now + timedelta(days=days))
        if state in ("CANCELED", "EXPIRED"):
            item["autoRenewingPlan"] = {}
        purchase = {
            "kind": "androidpublisher#subscriptionPurchaseV2",
            "subscriptionState": f"SUBSCRIPTION_STATE_{state}",
            "acknowledgementState": "ACKNOWLEDGEMENT_STATE_PENDING",
            "lineItems": [item],
            **members,
        }
        self.purchases[token] = purchase
        return purchase

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.raw_path)
        match = _PATH.fullmatch(request.url.raw_path)
        if match is None:
            return _error(404, "notFound")
        if request.headers["authorization"] != "Bearer ya29.good":
            return _error(401, "authError")
        token = unquote(match["token"].decode())
        if match["verb"]:
            return self._acknowledge(match["package"].decode(), unquote(match["product"].decode()), token)
        self.reads.append(token)
        self.asked.set()
        known = self.purchases.get(token)  # as it stands now, however slowly it is told
        if self.gate is not None:
            await self.gate.wait()
        if self.answers:
            return _given(self.answers.pop(0), request)
        if match["package"].decode() != self.package or known is None:
            return _error(404, "notFound")
        return httpx.Response(200, json=known)

    def _acknowledge(self, package: str, product: str, token: str) -> httpx.Response:
        if self.acknowledge_answers:
            return _error(self.acknowledge_answers.pop(0), "backendError")
        purchase = self.purchases[token]
        if purchase["subscriptionState"].endswith("PENDING"):
            return _error(400, "failedPrecondition")
        purchase["acknowledgementState"] = "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED"
        self.acknowledged.append((package, product, token))
        self.accepted.set()
        return httpx.Response(204)


def _given(answer: int | bytes | Exception | httpx.Response, request: httpx.Request) -> httpx.Response:
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, httpx.Response):
        return answer
    if isinstance(answer, bytes):
        return httpx.Response(200, content=answer)
    return _error(answer, "backendError")


def _error(code: int, reason: str) -> httpx.Response:
    error = {
        "code": code,
        "message": "In Google's words.",
        "errors": [{"reason": reason, "domain": "androidpublisher"}],
    }
    return httpx.Response(code, json={"error": error})


class TokenServer:
    """A real token endpoint: form in, token out.

    Attributes:
        tokens: What it gives out, the last one for ever.
        asked: How often it was asked.
        down: Whether it answers 503.
    """

    def __init__(self) -> None:
        self.tokens = ["ya29.good"]
        self.asked = 0
        self.down = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                outer.asked += 1
                good = not outer.down and form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
                token = outer.tokens.pop(0) if len(outer.tokens) > 1 else outer.tokens[0]
                answer = {"access_token": token, "expires_in": 3599, "token_type": "Bearer"} if good else {"error": "x"}
                body = json.dumps(answer).encode()
                self.send_response(200 if good else 400)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class MakeService(Protocol):
    def __call__(self, **settings: Any) -> SubscriptionService: ...


class OpenClient(Protocol):
    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]: ...


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def play(clock: Clock) -> FakePlay:
    return FakePlay(clock)


@pytest.fixture
def token_server() -> Iterator[TokenServer]:
    server = TokenServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def key_file(tmp_path: Path, token_server: TokenServer, private_key: str) -> Path:
    """A service account's key whose tokens come from ``token_server``."""
    content = {
        "type": "service_account",
        "client_email": "play@pixelmint.example",
        "private_key_id": "k1",
        "private_key": private_key,
        "token_uri": token_server.address,
    }
    path = tmp_path / "key.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def production_key_file(key_file: Path, tmp_path: Path) -> Path:
    """The same key with Google's own token address."""
    content = json.loads(key_file.read_text()) | {"token_uri": "https://oauth2.googleapis.com/token"}
    path = tmp_path / "production.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def settings_with(mongo_uri: str, database_name: str, key_file: Path) -> Any:
    def make(**overrides: Any) -> Settings:
        values = {
            "google_application_credentials": key_file,
            "google_play_packages": (PACKAGE,),
            "recheck_interval_seconds": 3600,
        }
        return service_settings(Settings, mongo_uri, database_name, **(values | overrides))

    return make


@pytest_asyncio.fixture
async def make_service(
    database: Database, play: FakePlay, clock: Clock, settings_with: Any, key_file: Path
) -> AsyncIterator[MakeService]:
    """Make as many services on the one database as there are replicas wanted."""
    made: list[tuple[SubscriptionService, GooglePlay]] = []
    store = SubscriptionStore(database)
    await store.ensure_indexes()
    async with httpx.AsyncClient(transport=httpx.MockTransport(play.answer), base_url="https://play.test") as http:

        def make(**overrides: Any) -> SubscriptionService:
            settings = settings_with(**overrides)
            # Not the settings' own: production takes no key whose tokens come from this machine.
            google = GooglePlay(http, key_file, timeout_seconds=settings.google_play_timeout_seconds)
            service = SubscriptionService(store, google, settings, now=clock)
            made.append((service, google))
            return service

        yield make
        for service, google in made:
            await service.close()
            google.close()


@pytest.fixture
def service(make_service: MakeService) -> SubscriptionService:
    return make_service()


@pytest.fixture
def open_client(play: FakePlay, clock: Clock, settings_with: Any) -> OpenClient:
    """Open a client of the whole application, with these settings."""

    def make(**overrides: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        app = create_app(settings_with(**overrides), now=clock, google_transport=httpx.MockTransport(play.answer))
        return app_client(app)

    return make


@pytest_asyncio.fixture
async def client(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client() as opened:
        yield opened


@pytest.fixture
def ada() -> dict[str, str]:
    return user_headers("a" * 24)


@pytest.fixture
def bob() -> dict[str, str]:
    return user_headers("b" * 24)
