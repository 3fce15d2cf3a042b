"""Stripe's lists of refunds and disputes, newest first, a page at a time."""

from collections.abc import Callable, Iterable

from starlette.requests import Request

from sandbox_service.stripe import objects
from sandbox_service.stripe.errors import StripeError
from sandbox_service.stripe.expand import expand
from sandbox_service.stripe.forms import Form
from sandbox_service.stripe.objects import Json
from sandbox_service.stripe.payments import Payment, PaymentBook

DEFAULT_LIMIT = 10
MAX_LIMIT = 100

_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": int.__gt__,
    "gte": int.__ge__,
    "lt": int.__lt__,
    "lte": int.__le__,
}


def refunds(payment: Payment) -> Iterable[Json]:
    return [objects.refund(payment, refund) for refund in payment.refunds]


def disputes(payment: Payment) -> Iterable[Json]:
    return [objects.dispute(payment, payment.dispute)] if payment.dispute is not None else []


def page(request: Request, book: PaymentBook, of: Callable[[Payment], Iterable[Json]]) -> Json:
    """One page of what ``of`` finds in all payments, as the query asks for it.

    Raises:
        StripeError: The query is not one that Stripe takes.
    """
    form = Form(request.query_params.multi_items())
    wanted = {name: form.text(name) for name in ("charge", "payment_intent")}
    limit = form.integer("limit") or DEFAULT_LIMIT
    after, created, expanded = form.text("starting_after"), form.mapping("created"), form.array("expand")
    form.finish()
    if limit > MAX_LIMIT:
        raise StripeError("This value must be less than or equal to 100.", param="limit")
    found = [item for payment in book.all() for item in of(payment)]
    found = [item for item in found if all(value in (None, item[name]) for name, value in wanted.items())]
    found = [item for item in found if _is_within(item["created"], created)]
    found.sort(key=lambda item: (item["created"], item["id"]), reverse=True)
    if after is not None:
        positions = [number for number, item in enumerate(found) if item["id"] == after]
        if not positions:
            raise StripeError(f"No such object: '{after}'", code="resource_missing", param="starting_after")
        found = found[positions[0] + 1 :]
    data = [expand(item, [path.removeprefix("data.") for path in expanded], book) for item in found[:limit]]
    return {"object": "list", "data": data, "has_more": len(found) > limit, "url": request.url.path}


def _is_within(created: int, bounds: dict[str, str]) -> bool:
    for name, value in bounds.items():
        if name not in _COMPARISONS or not value.isascii() or not value.isdigit():
            raise StripeError(f"Invalid timestamp: {value}", code="parameter_invalid_integer", param=f"created[{name}]")
        if not _COMPARISONS[name](created, int(value)):
            return False
    return True
