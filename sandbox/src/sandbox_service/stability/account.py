"""The credits of the one Stability account there is."""

from sandbox_service.bounded import BoundedDict

STARTING_CREDITS = 1_000_000.0
"""Enough that nobody runs dry by clicking or by a test suite."""

V1_CREDITS = 0.9
"""Of one picture by SDXL 1.0 at 30 steps, roughly; one credit is US$0.01."""

MAX_PROMPTS = 1000


class StabilityAccount:
    def __init__(self) -> None:
        self.credits = STARTING_CREDITS
        self._calls: BoundedDict[str, int] = BoundedDict(MAX_PROMPTS)

    def can_pay(self, credits: float) -> bool:
        return self.credits >= credits

    def charge(self, credits: float) -> None:
        """Take the price of what was delivered; withheld and failed pictures are free."""
        self.credits = max(0.0, round(self.credits - credits, 4))

    def count_call(self, prompt: str) -> int:
        """Say how many calls had this prompt, this one included."""
        calls = (self._calls.get(prompt) or 0) + 1
        self._calls.set(prompt, calls)
        return calls

    def reset(self) -> None:
        self.credits = STARTING_CREDITS
        self._calls.clear()
