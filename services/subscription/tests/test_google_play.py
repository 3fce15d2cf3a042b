"""What Google's answers mean, on its own wire."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from common.errors import ServiceError
from subscription_service.errors import (
    GooglePlayFailedError,
    GooglePlayNotConfiguredError,
    GooglePlayUnavailableError,
    ProductMismatchError,
    PurchaseExpiredError,
    PurchaseNotFoundError,
)
from subscription_service.providers.google_play import MAX_ANSWER_BYTES, GooglePlay
from subscription_service.testing.google_play import FakePlay
from subscription_service.testing.google_tokens import TokenServer

PACKAGE = "com.example.app"


@pytest_asyncio.fixture
async def http(play: FakePlay) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(play.answer), base_url="https://play.test") as client:
        yield client


@pytest.fixture
def google(http: httpx.AsyncClient, key_file: Path) -> Iterator[GooglePlay]:
    google = GooglePlay(http, key_file, timeout_seconds=6)
    yield google
    google.close()


def failure(code: int, *reasons: str, status: str | None = None) -> httpx.Response:
    error: dict[str, Any] = {"code": code, "message": "In Google's words."}
    if reasons:
        error["errors"] = [{"reason": reason, "message": "…", "domain": "androidpublisher"} for reason in reasons]
    if status:
        error["status"] = status
    return httpx.Response(code, json={"error": error})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (failure(404, "notFound"), PurchaseNotFoundError),
        (failure(404, "purchaseTokenNotFound"), PurchaseNotFoundError),
        (failure(404, status="NOT_FOUND"), PurchaseNotFoundError),
        (failure(400, "invalidValue", status="INVALID_ARGUMENT"), PurchaseNotFoundError),
        (failure(410, "purchaseTokenNoLongerValid"), PurchaseExpiredError),
        (failure(410, "subscriptionNoLongerAvailable"), PurchaseExpiredError),
        (failure(410), PurchaseExpiredError),
        (failure(400, "failedPrecondition"), PurchaseExpiredError),
        (failure(400, status="FAILED_PRECONDITION"), PurchaseExpiredError),
        (failure(400, "purchaseTokenMismatch"), ProductMismatchError),
        (failure(400, "productNotOwnedByUser"), ProductMismatchError),
        (failure(400, "required"), GooglePlayFailedError),
        (failure(404, "applicationNotFound"), GooglePlayUnavailableError),
        (failure(403, "userInsufficientPermission"), GooglePlayUnavailableError),
        (failure(403, "accessNotConfigured"), GooglePlayUnavailableError),
        # Not in Google's form: some other server's word is no evidence.
        (httpx.Response(404, text="<html>nginx</html>"), GooglePlayFailedError),
        (httpx.Response(410, json={"detail": "Gone"}), GooglePlayFailedError),
        (httpx.Response(400), GooglePlayFailedError),
        (httpx.Response(302, headers={"Location": "https://elsewhere.test/"}), GooglePlayFailedError),
        (httpx.Response(204), GooglePlayFailedError),
    ],
)
async def test_failures(
    google: GooglePlay, play: FakePlay, answer: httpx.Response, expected: type[ServiceError]
) -> None:
    play.answers = [answer]
    with pytest.raises(ServiceError) as raised:
        await google.find_purchase(PACKAGE, "t1")
    assert type(raised.value) is expected
    assert "Google's words" not in raised.value.message


@pytest.mark.parametrize("status", [409, 429, 500, 502, 503, 504])
async def test_passing_trouble_is_tried_three_times(google: GooglePlay, play: FakePlay, status: int) -> None:
    play.put("t1")
    play.answers = [status] * 2
    assert (await google.find_purchase(PACKAGE, "t1")).auto_renewing
    play.answers = [status] * 9
    with pytest.raises(GooglePlayUnavailableError) as raised:
        await google.find_purchase(PACKAGE, "t1")
    assert raised.value.status == 503
    assert raised.value.code == "google_play_unavailable"
    assert len(play.reads) == 6


async def test_a_token_that_google_revoked_is_fetched_anew_once(
    google: GooglePlay, play: FakePlay, token_server: TokenServer
) -> None:
    play.put("t1")
    token_server.tokens = ["ya29.revoked", "ya29.good"]
    assert await google.find_purchase(PACKAGE, "t1")
    assert await google.find_purchase(PACKAGE, "t1")
    assert token_server.asked == 2
    token_server.tokens = ["ya29.bad"]
    play.answers = [failure(401, "permissionDenied"), failure(401, "permissionDenied")]
    with pytest.raises(GooglePlayUnavailableError) as raised:
        await google.find_purchase(PACKAGE, "t1")
    assert raised.value.status == 503  # not 401: that is about the caller's own session
    assert token_server.asked == 3


async def test_no_access_token_is_no_evidence(google: GooglePlay, play: FakePlay, token_server: TokenServer) -> None:
    play.put("t1")
    token_server.down = True
    with pytest.raises(GooglePlayUnavailableError):
        await google.find_purchase(PACKAGE, "t1")
    token_server.down = False
    assert await google.find_purchase(PACKAGE, "t1")


@pytest.mark.parametrize(
    "change",
    [
        {"subscriptionState": "SUBSCRIPTION_STATE_UNSPECIFIED"},
        {"subscriptionState": "SUBSCRIPTION_STATE_OF_THE_FUTURE"},
        {"subscriptionState": None},
        {"subscriptionState": "X" * 1000},
        {"lineItems": []},
        {"lineItems": [{"productId": "p"}]},
        {"lineItems": [{"productId": {"$ne": ""}, "expiryTime": "2026-12-01T00:00:00Z"}]},
        {"lineItems": [{"productId": "../../x", "expiryTime": "2026-12-01T00:00:00Z"}]},
        {"lineItems": [{"productId": "p", "expiryTime": 1790000000}]},
        {"lineItems": [{"productId": "p", "expiryTime": "2026-12-01"}]},
        {"lineItems": [{"productId": "p", "expiryTime": "2026-12-01T00:00:00"}]},
        {"lineItems": [{"productId": "p", "expiryTime": "2026-13-01T00:00:00Z"}]},
        {"lineItems": [{"productId": "p", "expiryTime": "0001-01-01T00:00:00+23:00"}]},
        {"lineItems": [{"productId": "p", "expiryTime": "2026-12-01T00:00:00.1234567890Z"}]},
        {"lineItems": {"0": {}}},
        {"linkedPurchaseToken": 5},
        {"linkedPurchaseToken": "x" * 5000},
        {"testPurchase": "yes"},
        {"externalAccountIdentifiers": []},
    ],
)
async def test_answers_of_a_wrong_shape(google: GooglePlay, play: FakePlay, change: dict[str, Any]) -> None:
    play.put("t1", **change)
    with pytest.raises(GooglePlayFailedError) as raised:
        await google.find_purchase(PACKAGE, "t1")
    assert raised.value.status == 502


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"\xff", b"[" * 100_000])
async def test_answers_that_are_no_purchase(google: GooglePlay, play: FakePlay, body: bytes) -> None:
    play.answers = [body]
    with pytest.raises(GooglePlayFailedError):
        await google.find_purchase(PACKAGE, "t1")


async def test_answers_are_read_up_to_a_size(google: GooglePlay, play: FakePlay) -> None:
    purchase = json.dumps(play.put("t1")).encode()
    play.answers = [purchase.ljust(MAX_ANSWER_BYTES), purchase.ljust(MAX_ANSWER_BYTES + 1)]
    assert await google.find_purchase(PACKAGE, "t1")
    with pytest.raises(GooglePlayFailedError):
        await google.find_purchase(PACKAGE, "t1")


async def test_a_time_zone_is_understood(google: GooglePlay, play: FakePlay) -> None:
    play.put("t1", lineItems=[{"productId": "p", "expiryTime": "2026-12-01T02:00:00+02:00"}])
    purchase = await google.find_purchase(PACKAGE, "t1")
    assert purchase.expires_at is not None
    assert purchase.expires_at.isoformat() == "2026-12-01T00:00:00+00:00"
    assert not purchase.auto_renewing


async def test_without_credentials(http: httpx.AsyncClient, play: FakePlay) -> None:
    with pytest.raises(GooglePlayNotConfiguredError):
        await GooglePlay(http, None, timeout_seconds=6).find_purchase(PACKAGE, "t1")
    assert play.paths == []


async def test_the_key_may_come_after_the_start(
    http: httpx.AsyncClient, tmp_path: Path, key_file: Path, play: FakePlay
) -> None:
    late = tmp_path / "late"
    google = GooglePlay(http, late, timeout_seconds=6)
    with pytest.raises(GooglePlayNotConfiguredError):
        await google.find_purchase(PACKAGE, "t1")
    (tmp_path / "broken.json").symlink_to("/dev/null")
    late.symlink_to(tmp_path / "broken.json")
    with pytest.raises(GooglePlayNotConfiguredError):
        await google.find_purchase(PACKAGE, "t1")
    assert play.paths == []
    late.unlink()
    late.symlink_to(key_file)
    play.put("t1")
    assert await google.find_purchase(PACKAGE, "t1")
    google.close()


async def test_the_whole_question_has_a_deadline(http: httpx.AsyncClient, key_file: Path, play: FakePlay) -> None:
    play.put("t1")
    play.gate = asyncio.Event()
    google = GooglePlay(http, key_file, timeout_seconds=0.5)
    with pytest.raises(GooglePlayUnavailableError):
        await google.find_purchase(PACKAGE, "t1")
    google.close()


async def test_acknowledging_names_product_and_token(google: GooglePlay, play: FakePlay) -> None:
    play.put("a/b")
    play.acknowledge_answers = [503]
    await google.acknowledge(PACKAGE, "pro_monthly", "a/b")
    assert play.acknowledged == [(PACKAGE, "pro_monthly", "a/b")]
    assert play.paths[-1].endswith(b"/purchases/subscriptions/pro_monthly/tokens/a%2Fb:acknowledge")
