"""The controls over the vendors, for tests: ``/_sandbox/…``."""

from datetime import datetime
from typing import Annotated, Any, Literal, NoReturn, get_args

from fastapi import APIRouter, HTTPException, Path, Request
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from common.clock import format_timestamp
from sandbox_service.calls import Call
from sandbox_service.faults import MAX_FAULTS, Fault, VendorName
from sandbox_service.google.purchases import Kind, Purchase
from sandbox_service.google.resources import PRODUCT_STATES, product_purchase, subscription_purchase_v2
from sandbox_service.google.tokens import State, is_well_formed
from sandbox_service.state import Sandbox
from sandbox_service.stripe.objects import payment_intent
from sandbox_service.stripe.payments import DisputeStatus, Status, split_id

router = APIRouter(prefix="/_sandbox", tags=["control"])

Json = dict[str, Any]


class ControlModel(BaseModel):
    """camelCase on the wire; a misspelt field is told, not ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class ClockChange(ControlModel):
    advance_seconds: float | None = Field(default=None, strict=True, allow_inf_nan=False, ge=-1e10, le=1e10)
    reset: Literal[True] | None = None


def _plain_state(state: object) -> object:
    if not isinstance(state, str):
        return state
    return state.lower().removeprefix("subscription_state_").removeprefix("in_")


class PurchaseChange(ControlModel):
    """What is left out stays as it is, and for a new token is as for an unseen one."""

    kind: Kind | None = None
    product_id: str | None = Field(default=None, min_length=1, max_length=148)
    state: Annotated[State, BeforeValidator(_plain_state)] | None = None
    """As in the README, or as Google spells it: ``SUBSCRIPTION_STATE_IN_GRACE_PERIOD``."""
    expiry_time: AwareDatetime | None = None
    auto_renewing: bool | None = None
    linked_purchase_token: str | None = Field(default=None, max_length=1000)
    account_id: str | None = Field(default=None, max_length=64)
    acknowledged: bool | None = None
    test: bool | None = None


class PaymentChange(ControlModel):
    status: Status | None = None
    amount: int | None = Field(default=None, strict=True, ge=1, le=99_999_999)
    currency: str | None = Field(default=None, pattern="^[a-z]{3}$")
    metadata: dict[str, str] | None = Field(default=None, max_length=50)
    refunded: Annotated[bool, Field(strict=True)] | Annotated[int, Field(strict=True, ge=0, le=99_999_999)] | None = (
        None
    )
    """``true``: all of it; a number: so many minor units."""
    disputed: bool | None = None
    dispute_status: DisputeStatus | None = None
    """What the dispute has come to; it stays ``disputed`` when it is won."""


@router.post("/reset")
async def reset(request: Request) -> dict[str, bool]:
    """Forget everything and let go of the calls that hang."""
    _sandbox(request).reset()
    return {"reset": True}


@router.post("/faults")
async def add_fault(body: Fault, request: Request) -> dict[str, Json]:
    """Make the next calls of a vendor misbehave."""
    known = request.app.state.operations[body.vendor]
    if body.operation is not None and body.operation not in known:
        _refuse("operation", f"{body.vendor} has {', '.join(sorted(known))}")
    if not _sandbox(request).faults.add(body):
        _refuse("times", f"{MAX_FAULTS} faults are waiting already; reset first")
    return {"fault": body.model_dump(by_alias=True)}


@router.get("/calls")
async def list_calls(request: Request, vendor: VendorName | None = None) -> dict[str, list[Call]]:
    """What the vendors were asked, newest last."""
    return {"calls": _sandbox(request).calls.find(vendor)}


@router.post("/clock")
async def move_clock(body: ClockChange, request: Request) -> dict[str, str | float]:
    """Move the vendors' clock, or set it back to the real time."""
    clock = _sandbox(request).clock
    if (body.advance_seconds is None) == (body.reset is None):
        _refuse("advanceSeconds", "exactly one of advanceSeconds and reset is required")
    if body.advance_seconds is None:
        clock.reset()
    else:
        clock.advance(body.advance_seconds)
    return {"now": format_timestamp(clock.now()), "offsetSeconds": clock.offset_seconds}


@router.put("/play/purchases/{token:path}")
async def put_purchase(token: Annotated[str, Path()], body: PurchaseChange, request: Request) -> dict[str, Json]:
    """Make or change one Google Play purchase."""
    sandbox = _sandbox(request)
    if not is_well_formed(token):
        _refuse("token", "4 to 1000 of A-Z a-z 0-9 . _ ~ : -")
    known = sandbox.purchases.find(token)
    kind = body.kind or (known.kind if known else "subscription")
    allowed = set(PRODUCT_STATES) if kind == "product" else set(get_args(State)) - {"purchased"}
    if body.state is not None and body.state not in allowed:
        _refuse("state", f"of a {kind}: {', '.join(sorted(allowed))}")
    if known is not None and known.kind != kind:
        _refuse("kind", f"this token is a {known.kind} already")
    if body.linked_purchase_token is not None and not is_well_formed(body.linked_purchase_token):
        _refuse("linkedPurchaseToken", "4 to 1000 of A-Z a-z 0-9 . _ ~ : -")
    purchase = known or sandbox.purchases.get_or_make(token, kind, body.product_id)
    _change(purchase, body, sandbox.clock.now())
    if body.linked_purchase_token not in {None, token}:
        sandbox.purchases.replace(str(body.linked_purchase_token))
    purchase.settle(sandbox.clock.now())
    return {"purchase": (product_purchase if kind == "product" else subscription_purchase_v2)(purchase)}


def _change(purchase: Purchase, body: PurchaseChange, now: datetime) -> None:
    purchase.story = None
    purchase.product_id = body.product_id or purchase.product_id
    if body.state is not None and body.state != purchase.state:
        acknowledged = purchase.acknowledged
        purchase.enter(body.state, now)
        purchase.acknowledged |= acknowledged
    if body.expiry_time is not None:
        purchase.expires = body.expiry_time
        if body.expiry_time <= purchase.started:
            # Long begun, so acknowledged long ago: else the automatic refund would come before anybody looks.
            purchase.started = body.expiry_time - purchase.period
            purchase.acknowledged = True
    if body.auto_renewing is not None:
        purchase.auto_renewing = body.auto_renewing
    if body.acknowledged is not None:
        purchase.acknowledged = body.acknowledged
    if body.test is not None:
        purchase.test = body.test
    purchase.linked_token = body.linked_purchase_token or purchase.linked_token
    purchase.account_id = body.account_id or purchase.account_id


@router.put("/stripe/payments/{identifier}")
async def put_payment(identifier: str, body: PaymentChange, request: Request) -> dict[str, Json]:
    """Make or change one payment, under any of its names (``pi_X``, ``ch_X``, ``py_X``, ``txn_X``)."""
    parts = split_id(identifier)
    if parts is None:
        _refuse("id", "pi_, ch_, py_ or txn_ and 8 to 250 letters and digits")
    sandbox = _sandbox(request)
    payment, now = sandbox.payments.get_or_make(parts[1]), sandbox.clock.timestamp()
    payment.fail_status = None
    payment.charged = payment.charged or parts[0] != "pi"
    payment.amount = body.amount or payment.amount
    payment.currency = body.currency or payment.currency
    payment.settle(body.status or payment.status)
    if body.metadata is not None:
        payment.metadata = body.metadata
    if isinstance(body.refunded, bool):
        payment.set_refunded(payment.amount_received if body.refunded else 0, now)
    elif body.refunded is not None:
        payment.set_refunded(min(body.refunded, payment.amount_received), now)
    if body.disputed is False:
        payment.dispute = None
    elif body.disputed or body.dispute_status is not None:
        payment.set_dispute(body.dispute_status or "needs_response", now)
    return {"payment": payment_intent(payment)}


def _sandbox(request: Request) -> Sandbox:
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


def _refuse(field: str, message: str) -> NoReturn:
    raise HTTPException(422, [{"field": field, "message": message}])
