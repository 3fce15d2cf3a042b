"""Android Publisher v3 over HTTP."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox_service.google.access import authorize, checked_package
from sandbox_service.google.errors import PlayError, bare_error
from sandbox_service.google.purchases import LONG_AGO, Kind, Purchase
from sandbox_service.google.resources import product_purchase, product_purchase_v2, subscription_purchase_v2
from sandbox_service.google.tokens import TokenStory, is_well_formed
from sandbox_service.google.voided import list_voided
from sandbox_service.vendor import Handler, VendorRoute, parse_json, sandbox_of

_TROUBLES = {
    "not-found": (404, "notFound", "The purchase token was not found.", "NOT_FOUND"),
    "gone": (410, "purchaseTokenNoLongerValid", "The purchase token is no longer valid.", None),
    "expired-long-ago": (
        410,
        "subscriptionNoLongerAvailable",
        "The subscription purchase is no longer available for query because it has been expired for too long.",
        None,
    ),
    "unavailable": (
        400,
        "failedPrecondition",
        "The subscription purchase is no longer available for query because it has been expired for too long.",
        "FAILED_PRECONDITION",
    ),
    "invalid": (400, "invalidValue", "Invalid Value", "INVALID_ARGUMENT"),
    "mismatch": (400, "purchaseTokenMismatch", "The purchase token does not match the product ID.", None),
    "unauthorized": (
        401,
        "permissionDenied",
        "The current user has insufficient permissions to perform the requested operation.",
        None,
    ),
    "forbidden": (
        403,
        "userInsufficientPermission",
        "The current user has insufficient permissions to perform the requested operation.",
        "PERMISSION_DENIED",
    ),
    "concurrent": (409, "concurrentUpdate", "The purchase is being changed by another request.", "ABORTED"),
    "rate-limited": (429, "rateLimitExceeded", "Rate Limit Exceeded", "RESOURCE_EXHAUSTED"),
}


async def get_subscription_v2(request: Request) -> Response:
    return JSONResponse(subscription_purchase_v2(_purchase(request, "subscription")))


async def acknowledge_subscription(request: Request) -> Response:
    return await _acknowledge(request, _purchase(request, "subscription", request.path_params["product_id"]))


async def get_product(request: Request) -> Response:
    return JSONResponse(product_purchase(_purchase(request, "product", request.path_params["product_id"])))


async def get_product_v2(request: Request) -> Response:
    return JSONResponse(product_purchase_v2(_purchase(request, "product")))


async def acknowledge_product(request: Request) -> Response:
    return await _acknowledge(request, _purchase(request, "product", request.path_params["product_id"]))


async def consume_product(request: Request) -> Response:
    """A second time, or after a refund, the item is no longer the user's."""
    purchase = _purchase(request, "product", request.path_params["product_id"])
    if purchase.consumed or purchase.state != "purchased":
        raise PlayError(400, "productNotOwnedByUser", "The product purchase is not owned by the user.")
    purchase.consumed = purchase.acknowledged = True
    return Response(status_code=204)


async def unrecognized(request: Request) -> Response:
    raise PlayError(404)


async def _acknowledge(request: Request, purchase: Purchase) -> Response:
    body = await request.body()
    try:
        content = parse_json(body) if body else {}
    except ValueError as error:
        raise PlayError(400, "parseError", "Invalid JSON payload received.", "INVALID_ARGUMENT") from error
    if not isinstance(content, dict):
        raise PlayError(400, "parseError", "Invalid JSON payload received.", "INVALID_ARGUMENT")
    if purchase.state not in {"active", "canceled", "grace_period", "purchased"}:
        raise PlayError(
            400,
            "failedPrecondition",
            "The purchase is not in a valid state to perform the desired operation.",
            "FAILED_PRECONDITION",
        )
    accounts = content.get("externalAccountIds")
    if isinstance(accounts, dict) and isinstance(accounts.get("obfuscatedAccountId"), str):
        purchase.account_id = accounts["obfuscatedAccountId"][:64]
    purchase.acknowledged = True
    return Response(status_code=204)


def _purchase(request: Request, kind: Kind, product_id: str | None = None) -> Purchase:
    """The purchase of the token in the path, as it stands now.

    Raises:
        PlayError: No or a foreign access token (401), no such app (404), a token that is malformed or of another
            kind, app or product, or one whose own text asks for trouble.
    """
    authorize(request)
    sandbox, package, token = sandbox_of(request), checked_package(request), request.path_params["token"]
    if not is_well_formed(token):
        raise PlayError(*_TROUBLES["invalid"])
    purchase = sandbox.purchases.get_or_make(token, kind, product_id)
    if purchase.story is not None:
        _make_trouble(purchase.story)
    if purchase.kind != kind:
        raise PlayError(*_TROUBLES["not-found"])
    if purchase.package not in {None, package} or product_id not in {None, purchase.product_id}:
        raise PlayError(*_TROUBLES["mismatch"])
    purchase.package = package
    ended = purchase.kind == "subscription" and purchase.state in {"expired", "revoked"}
    if ended and sandbox.clock.now() - purchase.expires > LONG_AGO:
        raise PlayError(*_TROUBLES["expired-long-ago"])
    return purchase


def _make_trouble(story: TokenStory) -> None:
    if story.status is not None:
        raise PlayError(story.status)
    if story.trouble is not None:
        raise PlayError(*_TROUBLES[story.trouble])


def _route(operation: str, method: str, path: str, handler: Handler) -> VendorRoute:
    return VendorRoute("google_play", operation, method, path, handler, bare_error)


_PURCHASES = "/androidpublisher/v3/applications/{package}/purchases"

routes = [
    # Tokens may hold a colon, so the paths with a verb at their end come first.
    _route(
        "subscriptions.acknowledge",
        "POST",
        _PURCHASES + "/subscriptions/{product_id}/tokens/{token:path}:acknowledge",
        acknowledge_subscription,
    ),
    _route(
        "products.acknowledge",
        "POST",
        _PURCHASES + "/products/{product_id}/tokens/{token:path}:acknowledge",
        acknowledge_product,
    ),
    _route(
        "products.consume", "POST", _PURCHASES + "/products/{product_id}/tokens/{token:path}:consume", consume_product
    ),
    _route("subscriptionsv2.get", "GET", _PURCHASES + "/subscriptionsv2/tokens/{token:path}", get_subscription_v2),
    _route("products.get", "GET", _PURCHASES + "/products/{product_id}/tokens/{token:path}", get_product),
    _route("productsv2.get", "GET", _PURCHASES + "/productsv2/tokens/{token:path}", get_product_v2),
    _route("voidedpurchases.list", "GET", _PURCHASES + "/voidedpurchases", list_voided),
    _route("unrecognized", "*", "/androidpublisher/{path:path}", unrecognized),
]
