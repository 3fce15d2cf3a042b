"""Engines that draw pictures, behind one Protocol."""

from dataclasses import dataclass
from typing import Protocol

from image_service.models import Order


@dataclass(frozen=True, slots=True)
class DrawnPicture:
    """A PNG, decoded once to be sure of it, of exactly the size that was ordered."""

    png: bytes
    seed: int


class Provider(Protocol):
    """An engine.

    Errors of ``draw`` are ``ContentRejectedError``, ``ProviderFailedError``, ``ProviderUnavailableError`` and
    ``ProviderTimeoutError``.
    """

    def check(self, order: Order) -> None:
        """Refuse what the engine cannot draw.

        Raises:
            ValidationFailedError: It names the fields, and what they may be.
        """

    async def draw(self, order: Order) -> list[DrawnPicture]:
        """Draw up to ``order.samples`` pictures, at least one; those withheld or failed are left out.

        The engine bills each call and knows no keys: this sends the order once.
        """
