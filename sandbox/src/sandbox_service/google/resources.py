"""Purchases as Android Publisher v3 shows them (discovery document, revision 20261026)."""

import hashlib
import json
from datetime import datetime
from typing import Any

from common.clock import format_timestamp
from sandbox_service.google.purchases import NOT_ACKNOWLEDGED, Purchase

Json = dict[str, Any]

SUBSCRIPTION_STATES = {
    "active": "ACTIVE",
    "grace_period": "IN_GRACE_PERIOD",
    "on_hold": "ON_HOLD",
    "paused": "PAUSED",
    "canceled": "CANCELED",
    "expired": "EXPIRED",
    "revoked": "EXPIRED",
    "pending": "PENDING",
    "pending_purchase_canceled": "PENDING_PURCHASE_CANCELED",
}
PRODUCT_STATES = {"purchased": 0, "canceled": 1, "pending": 2}

_REGION = "US"


def subscription_purchase_v2(purchase: Purchase) -> Json:
    unpaid = purchase.state in {"pending", "pending_purchase_canceled"}
    body: Json = {
        "kind": "androidpublisher#subscriptionPurchaseV2",
        "regionCode": _REGION,
        "subscriptionState": f"SUBSCRIPTION_STATE_{SUBSCRIPTION_STATES[purchase.state]}",
        "acknowledgementState": _acknowledgement(purchase),
        "lineItems": [_line_item(purchase, unpaid)],
        **_state_context(purchase),
    }
    if not unpaid:
        body["startTime"] = format_timestamp(purchase.started)
    if purchase.linked_token is not None:
        body["linkedPurchaseToken"] = purchase.linked_token
    if purchase.account_id is not None:
        body["externalAccountIdentifiers"] = {"obfuscatedExternalAccountId": purchase.account_id}
    if purchase.test:
        body["testPurchase"] = {}
    body["etag"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    return body


def product_purchase(purchase: Purchase) -> Json:
    """The v1 form: integers, times as strings of milliseconds."""
    body: Json = {
        "kind": "androidpublisher#productPurchase",
        "purchaseTimeMillis": _milliseconds(purchase.started),
        "purchaseState": PRODUCT_STATES[purchase.state],
        "consumptionState": int(purchase.consumed),
        "acknowledgementState": int(purchase.acknowledged),
        "developerPayload": "",
        "orderId": purchase.order_id,
        "productId": purchase.product_id,
        "purchaseToken": purchase.token,
        "quantity": 1,
        "refundableQuantity": 0 if purchase.state == "canceled" else 1,
        "regionCode": _REGION,
    }
    if purchase.account_id is not None:
        body["obfuscatedExternalAccountId"] = purchase.account_id
    if purchase.test:
        body["purchaseType"] = 0
    return body


def voided_purchase(purchase: Purchase, voided: datetime) -> Json:
    return {
        "kind": "androidpublisher#voidedPurchase",
        "purchaseToken": purchase.token,
        "purchaseTimeMillis": _milliseconds(purchase.started),
        "voidedTimeMillis": _milliseconds(voided),
        "orderId": purchase.order_id,
        "voidedSource": 2 if purchase.voided_reason == NOT_ACKNOWLEDGED else 0,
        "voidedReason": purchase.voided_reason,
    }


def product_purchase_v2(purchase: Purchase) -> Json:
    states = {"purchased": "PURCHASED", "canceled": "CANCELLED", "pending": "PENDING"}
    consumed = "CONSUMED" if purchase.consumed else "YET_TO_BE_CONSUMED"
    body: Json = {
        "kind": "androidpublisher#productPurchaseV2",
        "productLineItem": [
            {
                "productId": purchase.product_id,
                "productOfferDetails": {
                    "quantity": 1,
                    "refundableQuantity": 0 if purchase.state == "canceled" else 1,
                    "consumptionState": f"CONSUMPTION_STATE_{consumed}",
                },
            }
        ],
        "purchaseStateContext": {"purchaseState": states[purchase.state]},
        "acknowledgementState": _acknowledgement(purchase),
        "orderId": purchase.order_id,
        "regionCode": _REGION,
    }
    if purchase.state != "pending":
        body["purchaseCompletionTime"] = format_timestamp(purchase.started)
    if purchase.account_id is not None:
        body["obfuscatedExternalAccountId"] = purchase.account_id
    if purchase.test:
        body["testPurchaseContext"] = {"fopType": "TEST"}
    return body


def _milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def _acknowledgement(purchase: Purchase) -> str:
    return f"ACKNOWLEDGEMENT_STATE_{'ACKNOWLEDGED' if purchase.acknowledged else 'PENDING'}"


def _line_item(purchase: Purchase, unpaid: bool) -> Json:
    item: Json = {"productId": purchase.product_id, "offerDetails": {"basePlanId": "base", "offerTags": []}}
    if not unpaid:
        item["expiryTime"] = format_timestamp(purchase.expires)
        item["latestSuccessfulOrderId"] = purchase.order_id
    if purchase.state == "active" and not purchase.auto_renewing:
        item["prepaidPlan"] = {"allowExtendAfterTime": format_timestamp(purchase.started)}
    else:
        price = {"currencyCode": "USD", "units": "4", "nanos": 990_000_000}
        plan: Json = {"recurringPrice": price}
        if purchase.auto_renewing:  # Absent means false, as everywhere in Google's JSON.
            plan["autoRenewEnabled"] = True
        item["autoRenewingPlan"] = plan
    return item


def _state_context(purchase: Purchase) -> Json:
    if purchase.state in {"canceled", "expired", "revoked"}:
        reason: Json = {"userInitiatedCancellation": {"cancelTime": format_timestamp(purchase.started)}}
        if purchase.replaced:
            reason = {"replacementCancellation": {}}
        elif purchase.state == "revoked":
            reason = {"developerInitiatedCancellation": {}}
        return {"canceledStateContext": reason}
    if purchase.state == "paused" and purchase.resumes is not None:
        return {"pausedStateContext": {"autoResumeTime": format_timestamp(purchase.resumes)}}
    declined = {"renewalDeclined": {"pendingOrderId": f"{purchase.order_id}..{purchase.renewals}"}}
    if purchase.state == "grace_period":
        return {"inGracePeriodStateContext": declined}
    return {"onHoldStateContext": declined} if purchase.state == "on_hold" else {}
