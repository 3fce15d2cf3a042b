"""Controls: faults, hanging and broken connections, the record of calls, reset, refusals."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from sandbox_service.settings import Settings

STABILITY = {"Authorization": "Bearer sk-sandbox"}
STRIPE = {"Authorization": "Bearer sk_test_sandbox"}
DRAW = "/v1/generation/stable-diffusion-xl-1024-v1-0/text-to-image"
CHARGE = "/v1/charges/ch_12345678"


def order(prompt: str, samples: int = 1) -> dict[str, Any]:
    prompts = [{"text": prompt}]
    return {"text_prompts": prompts, "width": 1024, "height": 1024, "samples": samples, "style_preset": "pixel-art"}


async def fault(client: httpx.AsyncClient, **body: Any) -> None:
    response = await client.post("/_sandbox/faults", json=body)
    assert response.status_code == 200, response.text


async def test_it_says_what_it_is(client: httpx.AsyncClient) -> None:
    about = await client.get("/")
    assert about.json()["sandbox"] is True
    assert about.headers["X-Pixelmint-Sandbox"] == "1"
    assert "payment_intents.retrieve" in about.json()["operations"]["stripe"]
    for path in ("/health", "/ready"):
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("environment", ["production", "Production", "prod"])
@pytest.mark.parametrize("name", ["ENVIRONMENT", "NODE_ENV"])
def test_it_refuses_production(monkeypatch: pytest.MonkeyPatch, name: str, environment: str) -> None:
    monkeypatch.setenv(name, environment)
    with pytest.raises(ValidationError, match="does not start in production"):
        Settings()


async def test_status_fault_has_the_vendors_body_and_wears_off(client: httpx.AsyncClient) -> None:
    await fault(client, vendor="stripe", operation="charges.retrieve", status=503, times=2)
    other = await client.get("/v1/payment_intents/pi_12345678", headers=STRIPE)
    assert other.status_code == 200
    for _ in range(2):
        response = await client.get(CHARGE, headers=STRIPE)
        assert (response.status_code, response.json()["error"]["type"]) == (503, "api_error")
    assert (await client.get(CHARGE, headers=STRIPE)).status_code == 200


@pytest.mark.parametrize(
    ("vendor", "method", "path", "member"),
    [
        ("stability", "GET", "/v1/user/balance", "name"),
        ("stripe", "GET", CHARGE, "error"),
        ("google_oauth", "POST", "/token", "error_description"),
        ("google_play", "GET", "/androidpublisher/v3/applications/a.b/purchases/productsv2/tokens/abcd", "error"),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 410, 418, 429, 500, 502, 503, 504])
async def test_every_vendor_fails_in_its_own_words(
    client: httpx.AsyncClient, vendor: str, method: str, path: str, member: str, status: int
) -> None:
    await fault(client, vendor=vendor, status=status)
    response = await client.request(method, path)
    assert response.status_code == status
    assert member in response.json()


async def test_given_bodies(client: httpx.AsyncClient) -> None:
    await fault(client, vendor="stripe", body="<html>garbage")
    await fault(client, vendor="stripe", status=404, body={"odd": [1, None]})
    await fault(client, vendor="stripe", status=204)
    garbage = await client.get(CHARGE, headers=STRIPE)
    assert (garbage.status_code, garbage.text) == (200, "<html>garbage")
    odd = await client.get(CHARGE, headers=STRIPE)
    assert (odd.status_code, odd.json()) == (404, {"odd": [1, None]})
    assert (await client.get(CHARGE, headers=STRIPE)).status_code == 204


async def test_delay_then_the_ordinary_answer(client: httpx.AsyncClient) -> None:
    await fault(client, vendor="stripe", delayMs=250)
    started = time.monotonic()
    assert (await client.get(CHARGE, headers=STRIPE)).status_code == 200
    assert time.monotonic() - started >= 0.24


async def test_filtered_pictures(client: httpx.AsyncClient) -> None:
    await fault(client, vendor="stability", filtered=2)
    artifacts = (await client.post(DRAW, json=order("a fox", 3), headers=STABILITY)).json()["artifacts"]
    reasons = [artifact["finishReason"] for artifact in artifacts]
    assert reasons == ["CONTENT_FILTERED", "CONTENT_FILTERED", "SUCCESS"]


async def test_hanging_ends_when_the_caller_goes(socket_client: httpx.AsyncClient) -> None:
    await fault(socket_client, vendor="stripe", hang=True)
    with pytest.raises(httpx.ReadTimeout):
        await socket_client.get(CHARGE, headers=STRIPE, timeout=0.3)
    assert (await socket_client.get(CHARGE, headers=STRIPE)).status_code == 200


async def test_hanging_ends_with_a_reset(socket_client: httpx.AsyncClient) -> None:
    await fault(socket_client, vendor="stripe", hang=True)
    call = asyncio.create_task(socket_client.get(CHARGE, headers=STRIPE))
    async with asyncio.timeout(10):
        while not (await socket_client.get("/_sandbox/calls")).json()["calls"]:  # noqa: ASYNC110 - asked over HTTP.
            await asyncio.sleep(0.01)
    assert not call.done()
    await socket_client.post("/_sandbox/reset")
    assert (await call).status_code == 503


@pytest.mark.parametrize("after", [0, 40])
async def test_dropped_connection_after_the_work_is_done(socket_client: httpx.AsyncClient, after: int) -> None:
    await fault(socket_client, vendor="stripe", dropAfterBytes=after)
    form = {"amount": "500", "currency": "usd"}
    headers = {**STRIPE, "Idempotency-Key": "dropped"}
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message"):
        await socket_client.post("/v1/payment_intents", data=form, headers=headers)

    again = await socket_client.post("/v1/payment_intents", data=form, headers=headers)
    assert again.status_code == 200
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_dropped_connection_sends_exactly_so_many_bytes(socket_client: httpx.AsyncClient) -> None:
    await fault(socket_client, vendor="stability", dropAfterBytes=10)
    host, port = socket_client.base_url.host, socket_client.base_url.port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET /v1/user/balance HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer sk-1\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert len(body) == 10
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    assert int(length.split(b":")[1]) > 10


async def test_calls_are_recorded_in_order_without_secrets(client: httpx.AsyncClient) -> None:
    await client.post(DRAW, json=order("a secretive fox"), headers=STABILITY)
    await client.post("/v1/payment_intents", data={"amount": "500", "currency": "usd"}, headers=STRIPE)
    await client.post("/token", data={"grant_type": "x", "assertion": "top-secret"})
    await client.get("/v1/payment_intents/pi_1?expand[]=latest_charge", headers=STRIPE)

    calls = (await client.get("/_sandbox/calls")).json()["calls"]
    assert [call["operation"] for call in calls] == [
        "text_to_image",
        "payment_intents.create",
        "token",
        "payment_intents.retrieve",
    ]
    assert calls[0]["body"]["text_prompts"][0]["text"] == "a secretive fox"
    assert calls[0]["headers"]["authorization"] == "Bearer ***"
    assert calls[1]["body"] == {"amount": "500", "currency": "usd"}
    assert calls[2]["body"] == {"grant_type": "x", "assertion": "***"}
    assert calls[3]["query"] == {"expand[]": "latest_charge"}
    assert set(calls[0]) == {"vendor", "operation", "method", "path", "query", "headers", "body", "at"}
    assert calls[0]["at"].endswith("Z")

    stripe_only = (await client.get("/_sandbox/calls", params={"vendor": "stripe"})).json()["calls"]
    assert {call["vendor"] for call in stripe_only} == {"stripe"}
    assert "sk_test" not in str(calls)
    assert (await client.get("/_sandbox/calls", params={"vendor": "acme"})).status_code == 422


async def test_reset_forgets_everything(client: httpx.AsyncClient) -> None:
    await fault(client, vendor="stripe", status=500)
    await client.put("/_sandbox/stripe/payments/pi_12345678", json={"status": "canceled"})
    await client.post("/_sandbox/clock", json={"advanceSeconds": 1e6})
    await client.post("/_sandbox/reset")

    assert (await client.get("/_sandbox/calls")).json() == {"calls": []}
    charge = (await client.get(CHARGE, headers=STRIPE)).json()
    assert charge["status"] == "succeeded"
    assert abs(charge["created"] - time.time()) < 60


async def test_clock(client: httpx.AsyncClient) -> None:
    await client.post("/_sandbox/clock", json={"advanceSeconds": 60})
    moved = (await client.post("/_sandbox/clock", json={"advanceSeconds": 40.5})).json()
    assert moved["offsetSeconds"] == 100.5
    assert moved["now"].endswith("Z")
    assert (await client.post("/_sandbox/clock", json={"reset": True})).json()["offsetSeconds"] == 0


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("faults", '{"vendor":"acme","status":500}'),
        ("faults", '{"vendor":"stripe"}'),
        ("faults", '{"vendor":"stripe","status":500,"operation":"charges.retreive"}'),
        ("faults", '{"vendor":"stripe","status":99}'),
        ("faults", '{"vendor":"stripe","status":"500"}'),
        ("faults", '{"vendor":"stripe","status":500,"times":0}'),
        ("faults", '{"vendor":"stripe","status":500,"tiems":1}'),
        ("faults", '{"vendor":"stripe","filtered":1}'),
        ("faults", '{"vendor":"stripe","body":NaN}'),
        ("faults", '{"vendor":"stripe","delayMs":NaN}'),
        ("clock", "{}"),
        ("clock", '{"advanceSeconds":1,"reset":true}'),
        ("clock", '{"advanceSeconds":Infinity}'),
        ("clock", '{"advanceSeconds":true}'),
        ("clock", "["),
    ],
)
async def test_bad_controls_are_422(client: httpx.AsyncClient, path: str, content: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = await client.post(f"/_sandbox/{path}", content=content, headers=headers)
    assert response.status_code == 422
    assert response.json()["detail"]


async def test_too_many_faults_and_too_long_bodies(client: httpx.AsyncClient) -> None:
    for _ in range(500):
        await fault(client, vendor="stripe", status=500)
    assert (await client.post("/_sandbox/faults", json={"vendor": "stripe", "status": 500})).status_code == 422
    long = await client.post("/v1/user/balance", content=b"x" * (10 * 1024 * 1024 + 1), headers=STABILITY)
    assert long.status_code == 413
