"""Stripe's lists of refunds and disputes."""

from typing import Any

import httpx

STRIPE = {"Authorization": "Bearer sk_test_sandbox"}


async def listed(client: httpx.AsyncClient, path: str, **parameters: Any) -> dict[str, Any]:
    response = await client.get(f"/v1/{path}", params=parameters, headers=STRIPE)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


async def test_refunds_and_disputes_are_listed(sender: httpx.AsyncClient) -> None:
    for number in range(5):
        await sender.post("/_sandbox/clock", json={"advanceSeconds": 100})
        form = {"payment_intent": f"pi_1234567{number}", "amount": "30"}
        made = (await sender.post("/v1/refunds", data=form, headers=STRIPE)).json()
    last = await listed(sender, "refunds", limit=2, **{"expand[]": "data.charge"})
    assert (last["object"], last["has_more"], last["data"][0]["id"]) == ("list", True, made["id"])
    assert last["data"][0]["charge"]["amount_refunded"] == 30
    rest = await listed(sender, "refunds", limit=100, starting_after=last["data"][1]["id"])
    assert (len(rest["data"]), rest["has_more"]) == (3, False)
    assert len((await listed(sender, "refunds", **{"created[gte]": made["created"] - 150}))["data"]) == 2
    assert len((await listed(sender, "refunds", charge="ch_12345670"))["data"]) == 1
    assert (await listed(sender, "disputes"))["data"] == []

    await sender.put("/_sandbox/stripe/payments/pi_12345670", json={"disputeStatus": "won", "refunded": False})
    (dispute,) = (await listed(sender, "disputes", charge="ch_12345670"))["data"]
    assert dispute["status"] == "won"
    (refund,) = (await listed(sender, "refunds", charge="ch_12345670"))["data"]
    assert refund["status"] == "failed"
    charge = (await sender.get("/v1/charges/ch_12345670", headers=STRIPE)).json()
    assert (charge["disputed"], charge["amount_refunded"]) == (True, 0)

    for bad in ({"limit": 101}, {"limit": 0}, {"created[since]": 1}, {"starting_after": "re_0"}, {"customer": "cus_1"}):
        assert (await sender.get("/v1/refunds", params=bad, headers=STRIPE)).status_code == 400
    assert (await sender.get("/v1/refunds")).status_code == 401
