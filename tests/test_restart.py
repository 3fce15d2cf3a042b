"""Stopped in the evening, started in the morning: everything is still there."""

import httpx
import pytest

from journey.answers import data, page
from journey.mesh import running_mesh
from journey.phone import PASSWORD, Account, Caller, Phone, fresh_email, fresh_purchase
from journey.pictures import HISTORY, draw

pytestmark = pytest.mark.processes


async def test_everything_is_there_after_a_stop_and_a_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("evening")
    email = fresh_email()
    purchase = {"purchaseToken": fresh_purchase(), "productId": "pro_monthly", "packageName": "com.example.app"}
    with running_mesh(root) as evening:
        async with httpx.AsyncClient(base_url=evening.gateway, trust_env=False, timeout=30.0) as http:
            body = {"email": email, "password": PASSWORD, "name": "Ada"}
            session = data(await Caller(http).post("/api/auth/register", body), 201)
            phone = Phone(http, Account.of(session, PASSWORD))
            [drawn] = (await draw(phone))["images"]
            picture = (await http.get(drawn["imageUrl"])).content
            subscription = data(await phone.post("/api/subscription/verify", purchase))
            entries = await phone.transactions()
            profile = data(await phone.get("/api/user/profile"))

    with running_mesh(root) as morning:
        async with httpx.AsyncClient(base_url=morning.gateway, trust_env=False, timeout=30.0) as http:
            phone = Phone(http, Account.of(session, PASSWORD))  # its token is still good
            assert data(await phone.get("/api/user/profile")) == profile
            assert await phone.transactions() == entries
            assert await phone.balance() == 90
            assert data(await phone.get("/api/subscription/status")) == subscription
            [listed], _ = page(await phone.get(HISTORY), "images")
            assert listed["id"] == drawn["id"]
            assert listed["imageUrl"].startswith(morning.gateway.replace("127.0.0.1", "localhost"))
            assert (await http.get(listed["imageUrl"])).content == picture
            login = {"email": email, "password": PASSWORD}
            assert data(await Caller(http).post("/api/auth/login", login))["user"] == session["user"]
