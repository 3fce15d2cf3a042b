"""What is refused, and how that is told to the phone."""

import json
from typing import Any

import httpx
import pytest

from common.mongo import Database
from subscription_service.testing.callers import OpenClient
from subscription_service.testing.google_play import FakePlay
from subscription_service.testing.phone import BODY, NONE, Headers, assert_failure, status, verify


async def test_refusals(client: httpx.AsyncClient, play: FakePlay, ada: Headers, bob: Headers) -> None:
    play.put("t1")
    play.put("over", "EXPIRED", days=-1)
    assert_failure(await verify(client, ada, packageName="com.other.app"), 422, "package_not_allowed")
    assert play.paths == []  # nothing was asked for it
    assert_failure(await verify(client, ada, purchaseToken="unknown"), 404, "purchase_not_found")
    assert_failure(await verify(client, ada, productId="pro_yearly"), 422, "product_mismatch")
    assert await status(client, ada) == NONE
    assert (await verify(client, ada)).status_code == 200
    assert_failure(await verify(client, bob), 409, "purchase_already_linked")
    assert_failure(await verify(client, bob, purchaseToken="over"), 410, "purchase_expired")
    assert (await status(client, bob))["status"] == "expired"


async def test_a_field_that_is_not_allowed_is_named(client: httpx.AsyncClient, play: FakePlay, ada: Headers) -> None:
    play.put("t1")
    for field, value in (("packageName", "com.other.app"), ("productId", "pro_yearly")):
        refusal = (await verify(client, ada, **{field: value})).json()
        assert refusal["details"] == [{"field": field, "message": refusal["message"]}]


@pytest.mark.parametrize(
    ("answers", "expected_status"),
    [([503] * 3, 503), ([429] * 3, 503), ([401] * 3, 503), ([403], 503), ([b"<html>"], 502), ([b"{}"], 502)],
)
async def test_trouble_at_google_is_never_the_users(
    client: httpx.AsyncClient, play: FakePlay, ada: Headers, answers: list[Any], expected_status: int
) -> None:
    play.put("t1")
    play.answers = answers.copy()
    assert_failure(await verify(client, ada), expected_status, "google_play_unavailable")
    play.answers = []
    assert (await verify(client, ada)).status_code == 200
    play.answers = answers.copy()
    assert_failure(await verify(client, ada), expected_status, "google_play_unavailable")
    assert (await status(client, ada))["status"] == "active"


@pytest.mark.parametrize("missing", [{"google_application_credentials": None}, {"google_play_packages": ()}])
async def test_not_configured(open_client: OpenClient, play: FakePlay, ada: Headers, missing: dict[str, Any]) -> None:
    async with open_client(**missing) as client:
        assert_failure(await verify(client, ada), 503, "google_play_not_configured")
        assert await status(client, ada) == NONE
        assert (await client.get("/ready")).status_code == 200
    assert play.paths == []


@pytest.mark.parametrize(
    "change",
    [
        {"purchaseToken": {"$ne": None}},
        {"purchaseToken": ["t1"]},
        {"purchaseToken": True},
        {"purchaseToken": 5},
        {"purchaseToken": None},
        {"purchaseToken": ""},
        {"purchaseToken": " t1"},
        {"purchaseToken": "t1\n"},
        {"purchaseToken": "t1\u0000"},
        {"purchaseToken": "t\u200b1"},
        {"purchaseToken": "\ud800"},
        {"purchaseToken": "x" * 1001},
        {"productId": {"$regex": ".*"}},
        {"productId": ""},
        {"packageName": {"$gt": ""}},
        {"packageName": "x" * 1000},
        {"packageName": 1.5},
    ],
)
async def test_malformed_bodies(
    client: httpx.AsyncClient, play: FakePlay, ada: Headers, change: dict[str, Any]
) -> None:
    play.put("t1")
    body = json.dumps(BODY | change)
    answer = await client.post(
        "/api/subscription/verify", content=body, headers=ada | {"Content-Type": "application/json"}
    )
    details = assert_failure(answer, 422, "validation_failed")["details"]
    assert [detail["field"] for detail in details] == list(change)
    assert play.paths == []


@pytest.mark.parametrize("field", list(BODY))
async def test_missing_fields(client: httpx.AsyncClient, ada: Headers, field: str) -> None:
    body = {name: value for name, value in BODY.items() if name != field}
    answer = await client.post("/api/subscription/verify", json=body, headers=ada)
    assert assert_failure(answer, 422, "validation_failed")["details"][0]["field"] == field


async def test_packages_are_no_addresses(client: httpx.AsyncClient, play: FakePlay, ada: Headers) -> None:
    for package in [
        "http://169.254.169.254/",
        "../../v1",
        "com.example.app/../x",
        "com.example.app%2f",
        "COM.EXAMPLE.APP",
    ]:
        assert_failure(await verify(client, ada, packageName=package), 422, "package_not_allowed")
    assert play.paths == []


async def test_extra_fields_change_nothing(
    client: httpx.AsyncClient, play: FakePlay, ada: Headers, bob: Headers, database: Database
) -> None:
    play.put("t1", "ON_HOLD", days=-1)
    extra = {"status": "active", "isActive": True, "userId": "b" * 24, "expiresAt": "2099-01-01T00:00:00Z", "$set": {}}
    subscription = (await verify(client, ada, **extra)).json()["data"]["subscription"]
    assert (subscription["status"], subscription["isActive"]) == ("on_hold", False)
    assert await status(client, bob) == NONE
    document = await database["subscriptions"].find_one({})
    assert document is not None
    assert "$set" not in document
    assert document["user_id"] == "a" * 24
