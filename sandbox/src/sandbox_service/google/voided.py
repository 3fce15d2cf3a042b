"""``voidedpurchases.list``: whose money went back, oldest first, a page at a time."""

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox_service.google.access import authorize, checked_package
from sandbox_service.google.errors import PlayError
from sandbox_service.google.resources import Json, voided_purchase
from sandbox_service.vendor import sandbox_of

WINDOW = timedelta(days=30)
MAX_RESULTS = 1000


async def list_voided(request: Request) -> Response:
    authorize(request)
    sandbox, query = sandbox_of(request), request.query_params
    package = checked_package(request)
    oldest = sandbox.clock.now() - WINDOW
    since = max(oldest, _moment(query["startTime"])) if "startTime" in query else oldest
    until = _moment(query["endTime"]) if "endTime" in query else None
    found = sandbox.purchases.voided_since(package, since, subscriptions=_number(query.get("type", "0")) == 1)
    shown = [
        voided_purchase(purchase, purchase.voided)
        for purchase in found
        if purchase.voided is not None and (until is None or purchase.voided <= until)
    ]
    first = _number(query.get("token", "0"))
    limit = max(1, min(MAX_RESULTS, _number(query.get("maxResults", str(MAX_RESULTS)))))
    body: Json = {}
    if page := shown[first : first + limit]:
        body["voidedPurchases"] = page
    if first + limit < len(shown):
        body["tokenPagination"] = {"nextPageToken": str(first + limit)}
    return JSONResponse(body)


def _moment(milliseconds: str) -> datetime:
    try:
        return datetime.fromtimestamp(_number(milliseconds) / 1000, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise _invalid() from error


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise _invalid()
    return int(text)


def _invalid() -> PlayError:
    return PlayError(400, "invalidValue", "Invalid Value", "INVALID_ARGUMENT")
