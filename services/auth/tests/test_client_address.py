"""Whom an attempt is counted on."""

import pytest
from fastapi import Request

from auth_service.client_address import client_address


def request(peer: str | None, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return Request({"type": "http", "client": None if peer is None else (peer, 1), "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.2", [], "10.0.0.2"),
        ("10.0.0.2", ["203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        ("172.18.0.9", ["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
        ("fd00::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("10.0.0.2", ["::ffff:203.0.113.7"], "203.0.113.7"),
        ("10.0.0.2", ["not an address"], "10.0.0.2"),
        ("10.0.0.2", [""], "10.0.0.2"),
        ("8.8.8.8", ["203.0.113.7"], "8.8.8.8"),
        (None, ["203.0.113.7"], "unknown"),
    ],
)
async def test_only_the_gateways_word_is_taken(peer: str | None, forwarded: list[str], address: str) -> None:
    assert await client_address(request(peer, *forwarded)) == address
