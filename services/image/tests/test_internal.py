"""Other services learn what was decided of a generation's coins, and nobody else does."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from common.clients.image import GenerationDecision, GenerationNotFoundError, ImageClient
from common.clock import utc_now
from common.mongo import new_id
from common.service_auth import ServiceTokenSigner
from common.testing import TEST_SECRETS, service_token, user_headers
from image_service.models import Cover, Generation, Picture, State
from image_service.orders import Order
from image_service.store.generations import GenerationStore

PICTURE = Picture(image_id="i", file="f.png", seed=1, size_bytes=1, sha256="s")


@pytest.fixture
def images(client: httpx.AsyncClient) -> ImageClient:
    """The image service as coin sees it."""
    secret: SecretStr = TEST_SECRETS["service_secret"]
    client.headers.clear()
    return ImageClient(client, ServiceTokenSigner(secret, caller="coin"))


async def write(database: Any, user_id: str, state: State, cover: Cover | None, pictures: int) -> Generation:
    store = GenerationStore(database, owner="another", lease_seconds=60)
    order = Order(
        prompt="a red fox",
        negative_prompt=None,
        style_preset=None,
        width=1024,
        height=1024,
        samples=2,
        steps=30,
        cfg_scale=7,
        seed=None,
    )
    generation = Generation(
        id=new_id(),
        user_id=user_id,
        key=None,
        holds_key=False,
        fingerprint="f",
        order=order,
        coins_per_image=10,
        state=state,
        open=False,
        cover=cover,
        pictures=[PICTURE] * pictures,
        created_at=utc_now(),
    )
    assert await store.add(generation)
    return generation


@pytest.mark.parametrize(
    ("state", "cover", "pictures", "decision", "coins"),
    [
        ("accepted", None, 0, "undecided", 0),
        ("reserved", "coins", 0, "undecided", 0),
        ("drawing", "coins", 0, "undecided", 0),
        ("stored", "coins", 2, "capture", 20),
        ("succeeded", "coins", 1, "capture", 10),
        ("succeeded", "subscription", 2, "void", 0),
        ("voiding", "coins", 0, "void", 0),
        ("failed", None, 0, "void", 0),
        ("failed", "coins", 2, "void", 0),
    ],
)
async def test_decision_of_every_state(
    images: ImageClient,
    database: Any,
    user_id: str,
    state: State,
    cover: Cover | None,
    pictures: int,
    decision: Any,
    coins: int,
) -> None:
    generation = await write(database, user_id, state, cover, pictures)
    assert await images.decision(generation.id) == GenerationDecision(
        id=generation.id, user_id=user_id, state=state, decision=decision, coins=coins
    )


@pytest.mark.parametrize("generation_id", ["0" * 24, "unknown", "%2e%2e"])
async def test_unknown_generation(images: ImageClient, generation_id: str) -> None:
    with pytest.raises(GenerationNotFoundError):
        await images.decision(generation_id)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (dict, 401),
        (lambda: user_headers("0" * 24), 401),
        # Made in the test: these tokens live for a minute, and the tests before this one may take longer.
        (lambda: service_token(audience="image", scope="image:write"), 403),
        (lambda: service_token(audience="coin", scope="image:read"), 401),
    ],
)
async def test_only_a_service_may_ask(
    images: ImageClient, client: httpx.AsyncClient, headers: Callable[[], dict[str, str]], status: int
) -> None:
    assert (await client.get(f"/internal/generations/{'0' * 24}", headers=headers())).status_code == status
