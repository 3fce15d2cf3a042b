"""The auth service: accounts, passwords, sessions, tokens."""
