"""Wallets: an append-only ledger of coins."""
