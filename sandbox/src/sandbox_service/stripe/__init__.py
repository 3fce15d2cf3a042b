"""Stripe API v1, as far as verifying and creating one-time payments goes: https://docs.stripe.com/api."""
