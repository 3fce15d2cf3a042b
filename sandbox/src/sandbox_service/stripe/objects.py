"""Payments as Stripe shows them."""

from typing import Any

from sandbox_service.stripe.payments import Dispute, Payment, Refund

Json = dict[str, Any]


def payment_intent(payment: Payment) -> Json:
    identifier = f"pi_{payment.key}"
    return {
        "id": identifier,
        "object": "payment_intent",
        "amount": payment.amount,
        "amount_capturable": payment.amount if payment.status == "requires_capture" else 0,
        "amount_received": payment.amount_received,
        "canceled_at": payment.created if payment.status == "canceled" else None,
        "cancellation_reason": "abandoned" if payment.status == "canceled" else None,
        "capture_method": payment.capture_method,
        "client_secret": f"{identifier}_secret_sandbox",
        "confirmation_method": "automatic",
        "created": payment.created,
        "currency": payment.currency,
        "customer": payment.customer,
        "description": payment.description,
        "last_payment_error": _decline(payment) if payment.declined else None,
        "latest_charge": f"ch_{payment.key}" if payment.has_charge else None,
        "livemode": payment.livemode,
        "metadata": dict(payment.metadata),
        "next_action": {"type": "use_stripe_sdk"} if payment.status == "requires_action" else None,
        "payment_method": payment.payment_method,
        "payment_method_types": ["card"],
        "receipt_email": None,
        "status": payment.status,
    }


def charge(payment: Payment, prefix: str = "ch") -> Json:
    succeeded = payment.status in {"succeeded", "requires_capture"}
    status = "succeeded" if succeeded else "pending" if payment.status == "processing" else "failed"
    return {
        "id": f"{prefix}_{payment.key}",
        "object": "charge",
        "amount": payment.amount,
        "amount_captured": payment.amount_received,
        "amount_refunded": payment.amount_refunded,
        "balance_transaction": f"txn_{payment.key}" if payment.has_balance_transaction else None,
        "captured": payment.status == "succeeded",
        "created": payment.created,
        "currency": payment.currency,
        "customer": payment.customer,
        "description": payment.description,
        "disputed": payment.disputed,
        "failure_code": "card_declined" if payment.declined else None,
        "failure_message": "Your card was declined." if payment.declined else None,
        "livemode": payment.livemode,
        "metadata": dict(payment.metadata),
        "outcome": {
            "network_status": "declined_by_network" if payment.declined else "approved_by_network",
            "type": "issuer_declined" if payment.declined else "authorized",
        },
        "paid": succeeded,
        "payment_intent": f"pi_{payment.key}",
        "payment_method": payment.payment_method,
        "receipt_url": None,
        "refunded": payment.refunded,
        "status": status,
    }


def balance_transaction(payment: Payment) -> Json:
    fee = round(payment.amount_received * 0.029) + 30
    return {
        "id": f"txn_{payment.key}",
        "object": "balance_transaction",
        "amount": payment.amount_received,
        "available_on": payment.created,
        "created": payment.created,
        "currency": payment.currency,
        "description": payment.description,
        "exchange_rate": None,
        "fee": fee,
        "net": payment.amount_received - fee,
        "reporting_category": "charge",
        "source": f"ch_{payment.key}",
        "status": "available" if payment.status == "succeeded" else "pending",
        "type": "charge",
    }


def refund(payment: Payment, refund: Refund) -> Json:
    return {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": None,
        "charge": f"ch_{payment.key}",
        "created": refund.created,
        "currency": payment.currency,
        "metadata": {},
        "payment_intent": f"pi_{payment.key}",
        "reason": None,
        "status": refund.status,
    }


def dispute(payment: Payment, dispute: Dispute) -> Json:
    return {
        "id": dispute.id,
        "object": "dispute",
        "amount": payment.amount_received,
        "balance_transactions": [],
        "charge": f"ch_{payment.key}",
        "created": dispute.created,
        "currency": payment.currency,
        "is_charge_refundable": False,
        "livemode": payment.livemode,
        "metadata": {},
        "payment_intent": f"pi_{payment.key}",
        "reason": "fraudulent",
        "status": dispute.status,
    }


def _decline(payment: Payment) -> Json:
    return {
        "type": "card_error",
        "charge": f"ch_{payment.key}",
        "code": "card_declined",
        "decline_code": "generic_decline",
        "message": "Your card was declined.",
    }
