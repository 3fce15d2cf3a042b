"""Faults that wait for the next matching call of a vendor."""

import asyncio
import json
from collections import deque
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

MAX_FAULTS = 500

ONE_PICTURE = "generate."
"""Operations that draw one picture a call: of several to be withheld the next calls have the others."""

VendorName = Literal["stability", "stripe", "google_play", "google_oauth", "admob", "cloudinary"]


class Fault(BaseModel):
    """How the next ``times`` calls of ``vendor`` (of one ``operation`` of it) behave."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    vendor: VendorName
    operation: str | None = None
    times: int = Field(default=1, strict=True, ge=1, le=1_000_000)
    delay_ms: int | None = Field(default=None, strict=True, ge=0, le=600_000)
    """Wait so long, then go on (to the other members of this fault, or to the ordinary answer)."""
    status: int | None = Field(default=None, strict=True, ge=200, le=599)
    """Answer this; nothing else happens at the vendor."""
    body: Any = None
    """A string is sent as it is, anything else as JSON; without it an error has the vendor's own body."""
    hang: bool = False
    """Never answer, until the caller goes away or the sandbox is reset."""
    drop_after_bytes: int | None = Field(default=None, strict=True, ge=0)
    """Do what was asked, then break the connection after so many bytes of the answer's body."""
    filtered: int | None = Field(default=None, strict=True, ge=1, le=10)
    """So many of the pictures asked for are withheld by the content filter."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        behaviours = (self.delay_ms, self.status, self.body, self.drop_after_bytes, self.filtered)
        if not self.hang and all(behaviour is None for behaviour in behaviours):
            raise ValueError("one of delayMs, status, body, hang, dropAfterBytes, filtered is required")
        if self.filtered is not None and self.vendor != "stability":
            raise ValueError("filtered is about pictures: vendor must be stability")
        try:
            json.dumps(self.body, allow_nan=False)
        except ValueError as error:
            raise ValueError("body must be JSON without NaN and infinities") from error
        return self


class FaultBoard:
    """First come, first served: a call takes the oldest fault that matches it."""

    def __init__(self) -> None:
        self._faults: deque[tuple[Fault, int]] = deque()
        self._reset = asyncio.Event()

    def add(self, fault: Fault) -> bool:
        """``False`` if too many are waiting already."""
        if len(self._faults) >= MAX_FAULTS:
            return False
        self._faults.append((fault, fault.times))
        return True

    def take(self, vendor: str, operation: str) -> Fault | None:
        for index, (fault, left) in enumerate(self._faults):
            if fault.vendor == vendor and fault.operation in {None, operation}:
                if left == 1:
                    del self._faults[index]
                else:
                    self._faults[index] = (fault, left - 1)
                if fault.filtered and operation.startswith(ONE_PICTURE):
                    more = fault.model_copy(update={"filtered": fault.filtered - 1})
                    if more.filtered:
                        self._faults.appendleft((more, 1))
                return fault
        return None

    async def wait_for_reset(self) -> None:
        await self._reset.wait()

    def clear(self) -> None:
        """Forget all faults and let go of every call that hangs."""
        self._faults.clear()
        self._reset.set()
        self._reset = asyncio.Event()
