"""From where somebody is calling, for limits."""

from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Annotated

from fastapi import Depends, Request


async def client_address(request: Request) -> str:
    """Return the client's address; of an IPv6 one the /64 network, of which one subscriber has all addresses.

    The gateway drops ``X-Forwarded-For`` from outside and writes its own, so the last element is its word. A peer with
    a public address is not the gateway: this port was opened to the world, and the header is only what the caller says.
    A caller inside may still lie about it; what counts on an account does not depend on it.
    """
    peer = request.client.host if request.client else ""
    forwarded = request.headers.getlist("x-forwarded-for")
    if forwarded and _is_inside(peer):
        return _network(forwarded[-1].rpartition(",")[2].strip()) or _network(peer) or "unknown"
    return _network(peer) or "unknown"


ClientAddressDep = Annotated[str, Depends(client_address)]


def _is_inside(peer: str) -> bool:
    try:
        return not ip_address(peer).is_global
    except ValueError:
        return False


def _network(text: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), 64), strict=False))
