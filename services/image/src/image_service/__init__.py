"""Pictures: drawn by an engine, charged in coins or covered by a subscription, kept, listed and deleted."""
