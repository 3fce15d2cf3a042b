"""What the processes write down: every request's id, nobody's secrets."""

from uuid import uuid4

import pytest

from journey.answers import data, error
from journey.mesh import Mesh
from journey.phone import Account, Caller, Phone, fresh_email, fresh_payment, fresh_purchase
from journey.pictures import draw
from journey.polling import until

pytestmark = pytest.mark.processes


async def test_a_request_id_stands_in_the_log_of_every_service_it_touches(mesh: Mesh, phone: Phone) -> None:
    request_id = f"journey-{uuid4().hex}"
    body = {"prompt": "a fox", "responseFormat": "url"}

    data(await phone.send("POST", "/api/image/generate", json=body, headers={"X-Request-Id": request_id}))

    async def logged() -> bool:
        logs = mesh.logs()
        return all(request_id in logs[f"{name}.log"] for name in ("gateway", "image", "coin", "subscription"))

    await until(logged, "gateway, image, coin and subscription have logged the id")


async def test_no_secret_is_in_any_log(mesh: Mesh, guest: Caller) -> None:
    password, prompt = f"pass-{uuid4().hex}", f"a secret garden {uuid4().hex}"
    emails = [fresh_email("secret"), fresh_email("moved"), fresh_email("nobody")]
    session = data(await guest.post("/api/auth/register", {"email": emails[0], "password": password}), 201)
    phone = Phone(guest.http, Account.of(session, password))
    purchase = {"purchaseToken": fresh_purchase(), "productId": "pro_monthly", "packageName": "com.example.app"}
    data(await guest.post("/api/auth/login", {"email": emails[0], "password": password}))
    error(await guest.post("/api/auth/login", {"email": emails[2], "password": password}), 401)
    error(await guest.post("/api/auth/register", {"email": "not-an-address", "password": password}), 422)
    data(await phone.put("/api/user/profile", {"email": emails[1], "name": "Ada"}))
    await draw(phone, prompt)
    await draw(phone, f"{prompt} [sandbox:slow-10]", negativePrompt=prompt)
    error(await phone.post("/api/image/generate", {"prompt": f"{prompt} [sandbox:moderated]"}), 403)
    data(
        await phone.post("/api/coin/buy", {"amount": 100, "paymentMethod": "stripe", "transactionId": fresh_payment()})
    )
    data(await phone.post("/api/subscription/verify", purchase))

    secrets = {
        **mesh.secrets(),
        "password": password,
        "access token": phone.account.token,
        "its signature": phone.account.token.rsplit(".", 1)[1],
        "refresh token": phone.account.refresh_token,
        "purchase token": purchase["purchaseToken"],
        "prompt": prompt,
        **dict(zip(("email", "new email", "unknown email"), emails, strict=True)),
    }
    for name, log in mesh.logs().items():
        for secret, value in secrets.items():
            assert value not in log, f"{secret} is in {name}"
