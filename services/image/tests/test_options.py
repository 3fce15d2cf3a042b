"""What can be ordered, what it would cost, and what the engine was told of it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from common.clock import utc_now
from common.mongo import Database
from image_service.testing import V2BETA_SIZE, World

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]

FOX: dict[str, Any] = {"prompt": "a red fox in the snow", "responseFormat": "url"}


async def options(client: httpx.AsyncClient) -> dict[str, Any]:
    response = await client.get("/api/image/options")
    assert response.status_code == 200
    data: dict[str, Any] = response.json()["data"]
    return data


async def quote(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/api/image/quote", json=FOX | body)
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def test_options_of_the_first_engine(client: httpx.AsyncClient) -> None:
    data = await options(client)
    assert data["engine"] == "stable-diffusion-xl-1024-v1-0"
    assert len(data["stylePresets"]) == 17
    assert data["sizes"][0] == {"width": 1024, "height": 1024, "aspectRatio": "1:1"}
    assert {"width": 1344, "height": 768, "aspectRatio": "16:9"} in data["sizes"]
    assert len(data["sizes"]) == len(set(data["aspectRatios"])) == 9
    assert data["ranges"] == {
        "prompt": {"min": 1, "max": 2000},
        "negativePrompt": {"min": 0, "max": 2000},
        "width": None,
        "height": None,
        "samples": {"min": 1, "max": 10},
        "steps": {"min": 10, "max": 50},
        "cfgScale": {"min": 0, "max": 35},
        "seed": {"min": 0, "max": 4294967295},
    }
    assert data["defaults"] == {
        "width": 1024,
        "height": 1024,
        "samples": 1,
        "steps": 30,
        "cfgScale": 7,
        "stylePreset": None,
        "negativePrompt": None,
        "seed": None,
        "responseFormat": "base64",
    }
    assert data["prices"] == {"coinsPerImage": 10, "subscriptionDailyImages": 200}


async def test_options_of_another_have_the_same_keys(start: Start, client: httpx.AsyncClient) -> None:
    first = await options(client)
    async with start(stability_engine="core", max_samples=4, coins_per_image=3) as other:
        data = await options(other)
    assert data.keys() == first.keys()
    assert data["ranges"].keys() == first["ranges"].keys()
    assert data["defaults"].keys() == first["defaults"].keys()
    assert (data["engine"], data["prices"]["coinsPerImage"]) == ("core", 3)
    assert data["ranges"]["width"] == {"min": 64, "max": 4096}
    assert (data["ranges"]["steps"], data["ranges"]["cfgScale"], data["defaults"]["steps"]) == (None, None, None)
    assert data["ranges"]["seed"]["max"] == 4294967294
    assert data["ranges"]["samples"]["max"] == 4


async def test_everything_that_is_offered_can_be_ordered(start: Start, world: World) -> None:
    world.coin.balance = 1000
    for engine in ("stable-diffusion-xl-1024-v1-0", "sd3.5-flash"):
        async with start(stability_engine=engine) as client:
            data = await options(client)
            for size in data["sizes"]:
                await quote(client, width=size["width"], height=size["height"])
            for field, allowed in data["ranges"].items():
                for end in ("min", "max") if allowed and field not in ("prompt", "negativePrompt") else ():
                    asked = {field: allowed[end]}
                    if field in ("width", "height"):
                        asked = {"width": allowed[end], "height": allowed[end]}
                    await quote(client, **asked)


async def test_a_quote_is_the_price_and_sets_nothing_aside(client: httpx.AsyncClient, world: World) -> None:
    price = {"coins": 40, "coveredBySubscription": False, "balance": 100, "affordable": True}
    assert await quote(client, samples=4) == price
    world.coin.balance = 39
    assert await quote(client, samples=4) == price | {"balance": 39, "affordable": False}
    assert (world.coin.held, world.engine.orders) == (0, [])


async def test_a_quote_with_a_subscription(start: Start, world: World, database: Database) -> None:
    world.subscription.active = True
    world.subscription.until = "2099-01-01T00:00:00.000Z"
    world.coin.balance = 15
    free = {"coins": 0, "coveredBySubscription": True, "balance": 15, "affordable": True}
    async with start(subscription_daily_images=3) as client:
        assert await quote(client, samples=3) == free
        assert await quote(client, samples=3) == free, "asking takes nothing of the day"
        assert (await client.post("/api/image/generate", json=FOX)).json()["data"]["coinsUsed"] == 0
        assert await quote(client, samples=2) == free
        paid = {"coins": 30, "coveredBySubscription": False, "balance": 15, "affordable": False}
        assert await quote(client, samples=3) == paid
        world.subscription.status = 503
        assert await quote(client, samples=2) == free, "the last known cover still holds"
    used = await database["quotas"].find_one()
    assert used is not None
    assert (used["used"], used["_id"].partition(":")[2]) == (1, utc_now().date().isoformat())


async def test_what_cannot_be_ordered_has_no_price(client: httpx.AsyncClient) -> None:
    for field, value in (("width", 512), ("samples", 11), ("prompt", "x" * 2001), ("stylePreset", "oil")):
        response = await client.post("/api/image/quote", json=FOX | {field: value})
        assert (response.status_code, response.json()["code"]) == (422, "validation_failed")
        assert field in [detail["field"] for detail in response.json()["details"]]


async def test_no_quote_without_the_coin_service_or_an_account(client: httpx.AsyncClient, world: World) -> None:
    world.coin.has_account = False
    response = await client.post("/api/image/quote", json=FOX)
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")
    world.away = {"coin"}
    response = await client.post("/api/image/quote", json=FOX)
    assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")


async def test_their_names_are_no_pictures(client: httpx.AsyncClient) -> None:
    for method, path in (("POST", "options"), ("DELETE", "options"), ("GET", "quote"), ("DELETE", "quote")):
        response = await client.request(method, f"/api/image/{path}", json={})
        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    for method, path in (("GET", "options"), ("POST", "quote")):
        response = await client.request(method, f"/api/image/{path}", json=FOX, headers={"Authorization": "Bearer no"})
        assert response.status_code == 401


@pytest.mark.parametrize(
    ("engine", "body", "told"),
    [
        ("core", {"steps": 20, "cfgScale": 9}, {"aspectRatio": "1:1"}),
        ("core", {"width": 800, "height": 600, "seed": 5, "style": "anime"},
         {"aspectRatio": "5:4", "seed": 5, "stylePreset": "anime"}),
        ("sd3", {"width": 1344, "height": 768}, {"aspectRatio": "16:9", "cfgScale": 4}),
        ("sd3", {"cfgScale": 7}, {"aspectRatio": "1:1", "cfgScale": 7}),
        ("sd3.5-flash", {"negativePrompt": "fog"}, {"aspectRatio": "1:1", "cfgScale": 1, "negativePrompt": "fog"}),
        ("stable-diffusion-xl-1024-v1-0", {"seed": 7},
         {"width": 1024, "height": 1024, "steps": 30, "cfgScale": 7, "seed": 7}),
    ],
)  # fmt: skip
async def test_the_answer_says_what_the_engine_was_told(
    start: Start, world: World, database: Database, engine: str, body: dict[str, Any], told: dict[str, Any]
) -> None:
    nothing = dict.fromkeys(
        ("width", "height", "aspectRatio", "steps", "cfgScale", "stylePreset", "negativePrompt", "seed")
    )
    async with start(stability_engine=engine) as client:
        answer = await client.post(
            "/api/image/generate", json=FOX | body | {"samples": 2}, headers={"Idempotency-Key": "k"}
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"]["applied"] == nothing | told | {"engine": engine, "samples": 2}
    # Whoever asks again hears the same, whichever engine draws by then.
    other = "ultra" if engine.startswith("stable") else "stable-diffusion-xl-1024-v1-0"
    async with start(stability_engine=other) as client:
        again = await client.post(
            "/api/image/generate", json=FOX | body | {"samples": 2}, headers={"Idempotency-Key": "k"}
        )
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.json()["data"]["applied"] == answer.json()["data"]["applied"]


async def test_pictures_of_v2beta_have_the_size_that_they_have(start: Start, world: World, database: Database) -> None:
    async with start(stability_engine="core") as client:
        world.engine.reasons = ["CONTENT_FILTERED"]
        data = (await client.post("/api/image/generate", json=FOX | {"samples": 3})).json()["data"]
        assert (len(data["images"]), data["coinsUsed"], world.coin.balance) == (2, 20, 80)
        assert len({image["seed"] for image in data["images"]}) == 2
        listed = (await client.get("/api/image/history")).json()["data"]["images"]
        assert [(image["width"], image["height"]) for image in listed] == [V2BETA_SIZE] * 2
        assert (world.coin.held, len(world.engine.orders)) == (0, 3)


async def test_v2beta_refuses_before_anything_moves(start: Start, world: World, database: Database) -> None:
    async with start(stability_engine="sd3") as client:
        for field, value in (("cfgScale", 20), ("width", 5000), ("seed", 4294967295)):
            response = await client.post("/api/image/generate", json=FOX | {field: value})
            assert (response.status_code, response.json()["details"][0]["field"]) == (422, field)
        world.engine.answers = [
            httpx.Response(422, json={"id": "1", "name": "invalid_language", "errors": ["vendor's words"]})
        ]
        headers = {"Idempotency-Key": "k"}
        refused = await client.post("/api/image/generate", json=FOX | {"prompt": "un renard"}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "prompt_language_unsupported")
        assert refused.json()["details"][0]["field"] == "prompt"
        assert "vendor" not in refused.text
        assert (world.coin.balance, world.coin.held) == (100, 0)
        assert (await client.post("/api/image/generate", json=FOX, headers=headers)).status_code == 200


async def test_an_engines_own_cfg_scale_is_not_ours(start: Start, world: World, database: Database) -> None:
    async with start(stability_engine="sd3") as client:
        headers = {"Idempotency-Key": "k"}
        own = await client.post("/api/image/generate", json=FOX, headers=headers)
        assert own.json()["data"]["applied"]["cfgScale"] == 4
        named = await client.post("/api/image/generate", json=FOX | {"cfgScale": 7}, headers=headers)
        assert (named.status_code, named.json()["code"]) == (422, "idempotency_key_reused")
        again = await client.post("/api/image/generate", json=FOX, headers=headers)
        assert again.json() == own.json()


async def test_an_engine_that_keeps_failing_is_not_asked(client: httpx.AsyncClient, world: World) -> None:
    world.engine.answers = [
        httpx.Response(500, json={"id": "1", "name": "server_error", "message": "vendor's words"}) for _ in range(30)
    ]
    for number in range(7):
        response = await client.post("/api/image/generate", json=FOX | {"prompt": f"fox {number}"})
        assert (response.status_code, response.json()["code"]) == (503, "provider_unavailable")
    assert len(world.engine.orders) < 3 * 6, "not for the last of them, nor again for the fifth"
    assert int(response.headers["Retry-After"]) >= 1
    assert (world.coin.balance, world.coin.held) == (100, 0)
