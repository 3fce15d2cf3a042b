"""Other engines than the mesh's own: one more process of the image service for each, beside that of the mesh."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from journey.answers import Json, data, error
from journey.mesh import Mesh, free_base
from journey.phone import Caller, Phone
from journey.pictures import GENERATE, draw, has_nothing_spent, is_marked_as_generated, opened, png_of
from journey.sandbox import Sandbox
from journey.victims import Victim
from local_mesh.inside import find_environment

OPTIONS, QUOTE = "/api/image/options", "/api/image/quote"


@asynccontextmanager
async def drawn_by(engine: str, mesh: Mesh, phone: Phone, tls: ssl.SSLContext, folder: Path) -> AsyncIterator[Phone]:
    """The same phone, speaking to a process of the image service that draws by ``engine``."""
    assert mesh.root is not None
    environment = find_environment(mesh.root, "image", port_base=None) | {"STABILITY_ENGINE": engine}
    process = Victim(environment, free_base(), folder / f"{engine}.log")
    try:
        await asyncio.to_thread(process.wait_until_it_listens)
        address = f"http://127.0.0.1:{process.port}"
        async with httpx.AsyncClient(base_url=address, verify=tls, trust_env=False, timeout=60.0) as client:
            yield Phone(client, phone.account)
    finally:
        await asyncio.to_thread(process.kill)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("engine", "path", "size", "told"),
    [
        ("core", "core", (1600, 896), {}),
        ("ultra", "ultra", (1344, 768), {}),
        ("sd3.5-flash", "sd3", (1344, 768), {"model": "sd3.5-flash", "cfg_scale": "1"}),
    ],
)
async def test_an_order_by_another_engine(
    mesh: Mesh,
    sandbox: Sandbox,
    phone: Phone,
    guest: Caller,
    tls: ssl.SSLContext,
    tmp_path: Path,
    engine: str,
    path: str,
    size: tuple[int, int],
    told: Json,
) -> None:
    prompt, key = f"a kite {uuid4().hex}", uuid4().hex
    body = {"prompt": prompt, "width": 1920, "height": 1080, "samples": 2, "seed": 41, "style": "anime"}
    async with drawn_by(engine, mesh, phone, tls, tmp_path) as there:
        assert data(await there.post(QUOTE, body))["coins"] == 20
        content = data(await there.post(GENERATE, body, key=key))

    assert [image["seed"] for image in content["images"]] == [41, 42]
    for image in content["images"]:
        picture = png_of(image["imageData"])
        assert picture.size == size
        assert is_marked_as_generated(picture)
        assert opened((await guest.get(image["imageUrl"])).content).size == size
    calls = await sandbox.calls("stability", containing=prompt)
    assert {call["path"] for call in calls} == {f"/v2beta/stable-image/generate/{path}"}
    form = {"prompt": prompt, "aspect_ratio": "16:9", "output_format": "png", "style_preset": "anime", **told}
    assert sorted((call["body"] for call in calls), key=lambda sent: str(sent["seed"])) == [
        form | {"seed": "41"},
        form | {"seed": "42"},
    ]
    # The mesh's own process draws by another engine, and still says what this one was told.
    again = await phone.post(GENERATE, body, key=key)
    assert again.headers["idempotent-replayed"] == "true"
    applied = data(again)["applied"]
    assert applied == content["applied"]
    assert (applied["engine"], applied["aspectRatio"], applied["width"], applied["steps"]) == (
        engine,
        "16:9",
        None,
        None,
    )
    assert await phone.balance() == 80


@pytest.mark.processes
async def test_what_v2beta_refuses_or_withholds(
    mesh: Mesh, sandbox: Sandbox, phone: Phone, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    async with drawn_by("core", mesh, phone, tls, tmp_path) as there:
        for word, status, code in (
            ("moderated", 403, "content_rejected"),
            ("public-figure", 403, "content_rejected"),
            ("foreign-language", 422, "prompt_language_unsupported"),
            ("error-402", 503, "provider_unavailable"),
            ("error-401", 502, "provider_failed"),
            ("garbage", 502, "provider_failed"),
        ):
            refused = await there.post(GENERATE, {"prompt": f"a fox {uuid4().hex} [sandbox:{word}]", "samples": 2})
            error(refused, status, code)
        await has_nothing_spent(phone)
        await sandbox.fault("stability", filtered=2)
        content = await draw(there, samples=3)
        assert (len(content["images"]), content["coinsUsed"], content["remainingCoins"]) == (1, 10, 90)


async def test_what_can_be_ordered_and_what_it_costs(phone: Phone) -> None:
    options = data(await phone.get(OPTIONS))
    size: dict[str, Any] = options["sizes"][-1]
    body = {
        "prompt": "a lighthouse at dusk",
        "stylePreset": options["stylePresets"][0],
        "width": size["width"],
        "height": size["height"],
        "samples": 3,
    }
    quote = data(await phone.post(QUOTE, body))
    price = 3 * options["prices"]["coinsPerImage"]
    assert quote == {"coins": price, "coveredBySubscription": False, "balance": 100, "affordable": True}
    await has_nothing_spent(phone)

    content = data(await phone.post(GENERATE, body | {"responseFormat": "url"}))

    assert (content["coinsUsed"], content["remainingCoins"]) == (price, 100 - price)
    too_many = data(await phone.post(QUOTE, body | {"samples": 8}))
    assert (too_many["affordable"], too_many["balance"]) == (False, 100 - price)
