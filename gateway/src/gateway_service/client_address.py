"""Who is really calling, when load balancers stand in front."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network


class TrustedProxies:
    """The addresses whose ``X-Forwarded-*`` are believed."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = tuple(ip_network(network, strict=False) for network in networks)
        self._is_trusted = lru_cache(maxsize=1024)(self._look_up)

    def trusts(self, peer: str) -> bool:
        return bool(self._networks) and self._is_trusted(peer)

    def client_of(self, peer: str, forwarded_for: Sequence[bytes]) -> str:
        """Return the address of the client behind a trusted ``peer``.

        Each proxy appends the address it was called from, so the list is read from its end: the first that is not a
        proxy of ours is the client, and whatever stands before it is only what the client says.
        """
        client = peer
        for hop in reversed(b",".join(forwarded_for).split(b",")):
            address = _address(hop)
            if address is None:
                break
            client = address
            if not self._is_trusted(address):
                break
        return client

    def _look_up(self, peer: str) -> bool:
        address = _address(peer.encode("latin-1", "replace"))
        return address is not None and any(ip_address(address) in network for network in self._networks)


def _address(text: bytes) -> str | None:
    try:
        return str(ip_address(text.strip().decode("ascii")))
    except ValueError:
        return None
