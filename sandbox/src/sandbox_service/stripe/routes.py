"""Stripe over HTTP."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox_service.stripe import lists, objects
from sandbox_service.stripe.errors import ResourceMissingError, StripeError, bare_error
from sandbox_service.stripe.expand import expand
from sandbox_service.stripe.forms import Form
from sandbox_service.stripe.ids import request_id
from sandbox_service.stripe.payments import FirstAnswer, Payment, PaymentBook, split_id
from sandbox_service.vendor import Handler, VendorError, VendorRoute, sandbox_of

Json = dict[str, Any]

MIN_AMOUNT = 50
"""About US$0.50, in minor units; one for currencies without minor units."""

_ZERO_DECIMAL = frozenset({"jpy", "krw", "vnd", "clp"})
_CURRENCIES = frozenset({"usd", "eur", "gbp", "chf", "cad", "aud", "inr", "brl", "mxn", "pln", "sek", "nok", "dkk"})


async def retrieve_payment_intent(request: Request) -> Response:
    _authorize(request)
    return _retrieve(request, {"pi"}, "payment_intent", "intent", lambda payment, _: objects.payment_intent(payment))


async def retrieve_charge(request: Request) -> Response:
    _authorize(request)
    return _retrieve(request, {"ch", "py"}, "charge", "charge", objects.charge, needs=lambda found: found.has_charge)


async def retrieve_balance_transaction(request: Request) -> Response:
    _authorize(request)
    return _retrieve(
        request,
        {"txn"},
        "balance transaction",
        "id",
        lambda payment, _: objects.balance_transaction(payment),
        needs=lambda payment: payment.has_balance_transaction,
    )


async def create_payment_intent(request: Request) -> Response:
    _authorize(request)
    form = await _form(request)

    def create(book: PaymentBook) -> Json:
        amount, currency = form.required_integer("amount"), form.required("currency").lower()
        if currency not in _CURRENCIES | _ZERO_DECIMAL:
            raise StripeError(f"Invalid currency: {currency}", param="currency")
        if amount < (1 if currency in _ZERO_DECIMAL else MIN_AMOUNT):
            raise StripeError("Amount must convert to at least 50 cents.", code="amount_too_small", param="amount")
        metadata, customer, description = form.mapping("metadata"), form.text("customer"), form.text("description")
        capture_method, wanted = form.text("capture_method"), form.array("expand")
        for ignored in ("receipt_email", "statement_descriptor", "statement_descriptor_suffix", "confirmation_method"):
            form.text(ignored)
        form.mapping("automatic_payment_methods")
        form.array("payment_method_types")
        form.finish()
        payment = book.create(amount, currency)
        payment.metadata, payment.customer, payment.description = metadata, customer, description
        payment.capture_method = capture_method or payment.capture_method
        return expand(objects.payment_intent(payment), wanted, book)

    return _once(request, form, create)


async def create_refund(request: Request) -> Response:
    _authorize(request)
    form = await _form(request)

    def create(book: PaymentBook) -> Json:
        name = "charge" if form.has("charge") else "payment_intent"
        payment = _find(book, form.required(name), {"ch", "py"} if name == "charge" else {"pi"}, name, name)
        left = payment.amount_received - payment.amount_refunded
        amount = form.integer("amount") or left
        form.text("reason")
        form.mapping("metadata")
        form.finish()
        if left <= 0:
            raise StripeError(f"Charge ch_{payment.key} has already been refunded.", code="charge_already_refunded")
        if amount > left:
            raise StripeError("Refund amount is greater than unrefunded amount on charge.", param="amount")
        payment.set_refunded(payment.amount_refunded + amount, sandbox_of(request).clock.timestamp())
        return objects.refund(payment, payment.refunds[-1])

    return _once(request, form, create)


async def list_refunds(request: Request) -> Response:
    _authorize(request)
    return _ok(lists.page(request, sandbox_of(request).payments, lists.refunds))


async def list_disputes(request: Request) -> Response:
    _authorize(request)
    return _ok(lists.page(request, sandbox_of(request).payments, lists.disputes))


async def unrecognized(request: Request) -> Response:
    raise StripeError(f"Unrecognized request URL ({request.method}: {request.url.path}).", status=404)


def _retrieve(
    request: Request,
    prefixes: set[str],
    kind: str,
    param: str,
    render: Callable[[Payment, str], Json],
    needs: Callable[[Payment], bool] = lambda payment: True,
) -> Response:
    book = sandbox_of(request).payments
    identifier = request.path_params["id"]
    payment = _find(book, identifier, prefixes, kind, param)
    if not needs(payment):
        raise ResourceMissingError(kind, identifier, param)
    form = Form(request.query_params.multi_items())
    wanted = form.array("expand")
    form.finish()
    return _ok(expand(render(payment, identifier.partition("_")[0]), wanted, book))


def _find(book: PaymentBook, identifier: str, prefixes: set[str], kind: str, param: str) -> Payment:
    parts = split_id(identifier)
    payment = book.find(parts[1]) if parts is not None and parts[0] in prefixes else None
    if payment is None:
        raise ResourceMissingError(kind, identifier, param)
    if payment.fail_status is not None:
        raise VendorError(bare_error(payment.fail_status))
    return payment


def _once(request: Request, form: Form, create: Callable[[PaymentBook], Json]) -> Response:
    """Create, or give the first answer again; mistakes are not stored, so that they may be corrected."""
    book = sandbox_of(request).payments
    key = request.headers.get("idempotency-key")
    asked = [request.url.path, *form.canonical]
    first = book.first_answers.get(key) if key else None
    if key and len(key) > 255:
        raise StripeError("Keys for idempotent requests can only be used with keys up to 255 characters.")
    if first is not None and first.request != asked:
        raise StripeError(
            "Keys for idempotent requests can only be used with the same parameters they were first used with.",
            type_="idempotency_error",
        )
    if first is not None:
        return _ok(first.body, first.status, {"Idempotent-Replayed": "true"})
    body = create(book)
    if key:
        book.first_answers.set(key, FirstAnswer(asked, 200, body))
    return _ok(body)


async def _form(request: Request) -> Form:
    try:
        return Form.parse((await request.body()).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise StripeError("Invalid request body: not UTF-8.") from error


def _ok(body: Json, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(body, status_code=status, headers={"Request-Id": request_id(), **(headers or {})})


def _authorize(request: Request) -> None:
    """Bearer, or Basic with the key as user name."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    key = secret.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key:
        raise StripeError(
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            status=401,
        )
    if scheme.lower() not in {"bearer", "basic"} or not key.startswith("sk_test_"):
        raise StripeError(f"Invalid API Key provided: {key[:8]}***", status=401)


def _route(operation: str, method: str, path: str, handler: Handler) -> VendorRoute:
    return VendorRoute("stripe", operation, method, path, handler, bare_error)


routes = [
    _route("payment_intents.retrieve", "GET", "/v1/payment_intents/{id}", retrieve_payment_intent),
    _route("payment_intents.create", "POST", "/v1/payment_intents", create_payment_intent),
    _route("charges.retrieve", "GET", "/v1/charges/{id}", retrieve_charge),
    _route("balance_transactions.retrieve", "GET", "/v1/balance_transactions/{id}", retrieve_balance_transaction),
    _route("refunds.create", "POST", "/v1/refunds", create_refund),
    _route("refunds.list", "GET", "/v1/refunds", list_refunds),
    _route("disputes.list", "GET", "/v1/disputes", list_disputes),
    _route("unrecognized", "*", "/v1/{path:path}", unrecognized),
]
