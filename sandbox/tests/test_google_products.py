"""Google Play's one-time products: bought, acknowledged, consumed."""

from sandbox_service.testing.play import Play


async def test_one_time_products_are_consumed_once(play: Play) -> None:
    path = "products/coins_500/tokens/one-time-token"
    product = (await play.get(path)).json()
    assert (product["purchaseState"], product["consumptionState"], product["acknowledgementState"]) == (0, 0, 0)
    assert product["productId"] == "coins_500"
    newer = (await play.get("productsv2/tokens/one-time-token")).json()
    assert newer["purchaseStateContext"] == {"purchaseState": "PURCHASED"}
    assert newer["productLineItem"][0]["productId"] == "coins_500"

    assert (await play.post(f"{path}:acknowledge", {})).status_code == 204
    assert (await play.post(f"{path}:consume")).status_code == 204
    again = await play.post(f"{path}:consume")
    assert (again.status_code, again.json()["error"]["errors"][0]["reason"]) == (400, "productNotOwnedByUser")
    product = (await play.get(path)).json()
    assert (product["consumptionState"], product["acknowledgementState"]) == (1, 1)
    assert (await play.get("products/coins_100/tokens/one-time-token")).status_code == 400
    assert (await play.get("subscriptionsv2/tokens/one-time-token")).status_code == 404


async def test_one_time_products_in_other_states(play: Play) -> None:
    assert (await play.get("products/coins_100/tokens/t-sandbox-pending-1")).json()["purchaseState"] == 2
    assert (await play.get("products/coins_100/tokens/t-sandbox-canceled-1")).json()["purchaseState"] == 1
    assert (await play.get("products/coins_100/tokens/t-sandbox-test-1")).json()["purchaseType"] == 0
    assert (await play.post("products/coins_100/tokens/t-sandbox-pending-1:consume")).status_code == 400
    await play.put("product-put", kind="product", productId="coins_100", state="canceled")
    newer = (await play.get("productsv2/tokens/product-put")).json()
    assert newer["purchaseStateContext"]["purchaseState"] == "CANCELLED"
