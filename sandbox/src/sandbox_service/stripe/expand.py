"""``expand[]``: objects in the place of ids, up to four levels deep."""

from typing import Any

from sandbox_service.stripe import objects
from sandbox_service.stripe.errors import StripeError
from sandbox_service.stripe.payments import PaymentBook, split_id

MAX_DEPTH = 4

_EXPANDABLE = {
    "payment_intent": {"latest_charge"},
    "charge": {"payment_intent", "balance_transaction"},
    "balance_transaction": {"source"},
    "refund": {"charge", "payment_intent"},
    "dispute": {"charge", "payment_intent"},
}


def expand(body: dict[str, Any], paths: list[str], book: PaymentBook) -> dict[str, Any]:
    """``body`` with the objects at ``paths`` (``latest_charge.balance_transaction``) put in.

    Raises:
        StripeError: A path leads to something that is not an id.
    """
    for path in paths:
        names = path.split(".")
        if len(names) > MAX_DEPTH:
            raise StripeError(f"You cannot expand more than {MAX_DEPTH} levels of a property: {path}.", param="expand")
        here: dict[str, Any] | None = body
        for name in names:
            if here is None:
                break
            if name not in _EXPANDABLE[here["object"]]:
                raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
            if isinstance(here[name], str):
                here[name] = _object(here[name], book)
            here = here[name]
    return body


def _object(identifier: str, book: PaymentBook) -> Any:
    parts = split_id(identifier)
    payment = book.find(parts[1]) if parts else None
    if parts is None or payment is None:
        return identifier
    if parts[0] == "pi":
        return objects.payment_intent(payment)
    return objects.balance_transaction(payment) if parts[0] == "txn" else objects.charge(payment, parts[0])
