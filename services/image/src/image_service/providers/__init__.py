"""Engines that draw pictures, behind one Protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from image_service.orders import Applied, Order
from image_service.png import SoundPng
from image_service.previews import Preview
from image_service.providers.capabilities import Capabilities


@dataclass(frozen=True, slots=True)
class DrawnPicture:
    """A PNG, decoded once to be sure of it; its size in pixels, and what was made of it on that occasion."""

    png: bytes
    seed: int
    width: int
    height: int
    preview: Preview | None = None

    @classmethod
    def of(cls, sound: SoundPng, seed: int) -> Self:
        return cls(sound.png, seed, sound.width, sound.height, sound.preview)


OnPicture = Callable[[], None]


class Provider(Protocol):
    """An engine.

    Errors of ``draw`` are ``ContentRejectedError``, ``PromptLanguageError``, ``TooBusyError`` and those of
    ``ProviderError``, which say whether the order may be sent again.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def check(self, order: Order) -> None:
        """Refuse what the engine cannot draw.

        Raises:
            ValidationFailedError: It names the fields, and what they may be.
        """

    def applied(self, order: Order) -> Applied:
        """Say what the engine is told of an order."""

    def ensure_available(self) -> None:
        """Refuse while it is known that a call would fail.

        Raises:
            ProviderUnavailableError: With the seconds until it is worth another try.
        """

    async def draw(
        self, order: Order, *, order_id: str | None = None, on_picture: OnPicture | None = None
    ) -> list[DrawnPicture]:
        """Draw up to ``order.samples`` pictures, at least one; those withheld or failed are left out.

        The engine bills each call and knows no keys: this sends the order once.

        Args:
            order: What to draw.
            order_id: The same for each attempt at one order.
            on_picture: Called for each picture as it comes.
        """
