"""Drawing, keeping, showing and deleting pictures."""

import asyncio
from uuid import uuid4

import pytest

from journey.answers import Json, data, error, page
from journey.phone import Caller, NewPhone, Phone
from journey.pictures import GENERATE, HISTORY, draw, has_nothing_spent, is_marked_as_generated, opened, png_of
from journey.sandbox import Sandbox

NEW_KEYS = {"id", "imageData", "imageUrl", "thumbnailUrl", "blurhash", "prompt", "seed", "createdAt"}
LISTED_KEYS = {
    *("id", "imageUrl", "thumbnailUrl", "blurhash", "prompt", "stylePreset", "width", "height", "steps", "cfgScale"),
    *("seed", "coinsUsed", "createdAt"),
}


async def test_a_picture_is_drawn_and_paid(phone: Phone) -> None:
    content = data(
        await phone.post(
            GENERATE,
            {
                "prompt": "a lighthouse at dusk",
                "stylePreset": "cinematic",
                "width": 1024,
                "height": 1024,
                "samples": 1,
                "steps": 30,
                "cfgScale": 7,
            },
        )
    )

    assert content.keys() == {"images", "coinsUsed", "remainingCoins", "generationId", "applied"}
    assert (content["coinsUsed"], content["remainingCoins"]) == (10, 90)
    [image] = content["images"]
    assert image.keys() == NEW_KEYS
    assert image["prompt"] == "a lighthouse at dusk"
    picture = png_of(image["imageData"])
    assert picture.size == (1024, 1024)
    assert is_marked_as_generated(picture)
    [entry, _] = await phone.transactions()
    assert (entry["type"], entry["amount"], entry["reference"]) == ("generate", -10, content["generationId"])
    assert await phone.balance() == 90


async def test_the_address_of_a_picture_opens_for_everybody(phone: Phone, guest: Caller) -> None:
    content = await draw(phone, width=1344, height=768)
    [image] = content["images"]

    assert image["imageData"] is None
    answer = await guest.get(image["imageUrl"])

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    picture = opened(answer.content)
    assert picture.size == (1344, 768)
    assert is_marked_as_generated(picture)


async def test_two_samples_are_two_pictures_and_two_prices(phone: Phone) -> None:
    content = await draw(phone, samples=2, seed=4711)

    assert (content["coinsUsed"], content["remainingCoins"]) == (20, 80)
    first, second = content["images"]
    assert first["id"] != second["id"]
    assert first["imageUrl"] != second["imageUrl"]
    assert first["seed"] != second["seed"]
    assert 4711 in (first["seed"], second["seed"])


async def test_the_engine_is_told_what_was_ordered(phone: Phone, sandbox: Sandbox) -> None:
    prompt = f"a red kite over dunes {uuid4().hex}"
    order = {"stylePreset": "anime", "width": 896, "height": 1152, "steps": 20, "cfgScale": 9.5, "seed": 42}

    await draw(phone, prompt, negativePrompt="blurry", **order)

    [call] = await sandbox.calls("stability", containing=prompt)
    asked = call["body"]
    assert asked["text_prompts"][0]["text"] == prompt
    assert any(part["text"] == "blurry" and part["weight"] < 0 for part in asked["text_prompts"])
    assert (asked["style_preset"], asked["width"], asked["height"]) == ("anime", 896, 1152)
    assert (asked["steps"], asked["cfg_scale"], asked["seed"], asked["samples"]) == (20, 9.5, 42, 1)


async def test_the_old_names_mean_the_same(phone: Phone, sandbox: Sandbox) -> None:
    prompt = f"a green kite {uuid4().hex}"

    await draw(phone, prompt, style="pixel-art", cfg_scale=12, negative_prompt="people")

    [call] = await sandbox.calls("stability", containing=prompt)
    assert (call["body"]["style_preset"], call["body"]["cfg_scale"]) == ("pixel-art", 12)
    assert any(part["text"] == "people" and part["weight"] < 0 for part in call["body"]["text_prompts"])
    [listed], _ = page(await phone.get(HISTORY), "images")
    assert (listed["stylePreset"], listed["cfgScale"]) == ("pixel-art", 12)


async def test_history_shows_what_was_drawn_newest_first(phone: Phone) -> None:
    first = await draw(phone, "the first", seed=1)
    second = await draw(phone, "the second", seed=2)

    listed, pagination = page(await phone.get(HISTORY, page=1, limit=10), "images")

    assert [image["id"] for image in listed] == [second["images"][0]["id"], first["images"][0]["id"]]
    assert (pagination["total"], pagination["totalPages"], pagination["hasNext"]) == (2, 1, False)
    newest = listed[0]
    assert newest.keys() == LISTED_KEYS
    assert (newest["prompt"], newest["seed"], newest["coinsUsed"]) == ("the second", 2, 10)
    assert (newest["width"], newest["height"], newest["steps"], newest["cfgScale"]) == (1024, 1024, 30, 7)


async def test_one_picture_can_be_read_with_its_bytes(phone: Phone, guest: Caller) -> None:
    content = await draw(phone)
    [drawn] = content["images"]
    path = f"/api/image/{drawn['id']}"

    shown = data(await phone.get(path))["image"]
    whole = data(await phone.get(path, include="imageData"))["image"]

    assert shown.keys() == whole.keys() == LISTED_KEYS | {"generationId", "imageData"}
    assert shown["generationId"] == content["generationId"]
    assert shown == {**whole, "imageData": None}
    assert png_of(whole["imageData"]).tobytes() == opened((await guest.get(drawn["imageUrl"])).content).tobytes()


async def test_a_deleted_picture_is_gone_with_its_file(phone: Phone, guest: Caller) -> None:
    [drawn] = (await draw(phone))["images"]
    path = f"/api/image/{drawn['id']}"

    assert data(await phone.delete(path)) == {"id": drawn["id"], "deleted": True}

    for answer in (await phone.get(path), await phone.delete(path), await guest.get(drawn["imageUrl"])):
        error(answer, 404)
    listed, pagination = page(await phone.get(HISTORY), "images")
    assert (listed, pagination["total"]) == ([], 0)
    assert await phone.balance() == 90


async def test_another_users_picture_does_not_exist(new_phone: NewPhone) -> None:
    ada, bob = await new_phone(), await new_phone()
    [drawn] = (await draw(ada))["images"]

    theirs = error(await bob.get(f"/api/image/{drawn['id']}"), 404)
    unknown = error(await bob.get(f"/api/image/{'0' * 24}"), 404)
    refused = error(await bob.delete(f"/api/image/{drawn['id']}"), 404)

    assert {**theirs, "requestId": ""} == {**unknown, "requestId": ""} == {**refused, "requestId": ""}
    assert page(await bob.get(HISTORY, userId=ada.account.id), "images")[0] == []
    assert data(await ada.get(f"/api/image/{drawn['id']}"))["image"]["id"] == drawn["id"]


async def test_without_coins_nothing_is_drawn(phone: Phone, sandbox: Sandbox) -> None:
    data(await phone.post("/api/coin/deduct", {"amount": 95}))
    prompt = f"too dear {uuid4().hex}"

    body = error(await phone.post(GENERATE, {"prompt": prompt}), 402, "insufficient_coins")

    assert (body["details"]["required"], body["details"]["balance"]) == (10, 5)
    assert await phone.balance() == 5
    assert await sandbox.calls("stability", containing=prompt) == []


async def test_pictures_at_once_cost_no_more_than_there_is(phone: Phone) -> None:
    data(await phone.post("/api/coin/deduct", {"amount": 75}))

    answers = await asyncio.gather(
        *(phone.post(GENERATE, {"prompt": f"fox {number}", "responseFormat": "url"}) for number in range(4))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 200, 402, 402]
    assert await phone.balance() == 5
    assert page(await phone.get(HISTORY), "images")[1]["total"] == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ""),
        ("prompt", "   "),
        ("prompt", "x" * 10_001),
        ("prompt", None),
        ("prompt", ["a fox"]),
        ("width", 1000),
        ("width", 0),
        ("width", "1024"),
        ("height", 1024.5),
        ("samples", 0),
        ("samples", 11),
        ("samples", True),
        ("steps", 5),
        ("steps", 1000),
        ("cfgScale", -1),
        ("cfgScale", 36),
        ("seed", -1),
        ("seed", 2**32),
        ("stylePreset", "impressionism"),
        ("responseFormat", "jpeg"),
    ],
)
async def test_an_order_that_cannot_be_drawn_names_the_field(phone: Phone, field: str, value: object) -> None:
    order: Json = {"prompt": "a fox", field: value}

    body = error(await phone.post(GENERATE, order), 422, "validation_failed")

    assert field in {detail["field"] for detail in body["details"]} or field in ("width", "height")
    await has_nothing_spent(phone)
