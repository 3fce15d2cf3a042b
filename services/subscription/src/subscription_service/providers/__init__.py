"""The stores that sell subscriptions."""
