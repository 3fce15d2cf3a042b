"""The credits of the one Stability account there is."""

STARTING_CREDITS = 1_000_000.0
"""Enough that nobody runs dry by clicking or by a test suite."""

CREDITS_PER_PICTURE = 0.9
"""SDXL 1.0 at 30 steps, roughly; one credit is US$0.01."""


class StabilityAccount:
    def __init__(self) -> None:
        self.credits = STARTING_CREDITS

    def can_pay(self, pictures: int) -> bool:
        return self.credits >= pictures * CREDITS_PER_PICTURE

    def charge(self, pictures: int) -> None:
        """Take the price of ``pictures``; withheld and failed ones are free."""
        self.credits = max(0.0, round(self.credits - pictures * CREDITS_PER_PICTURE, 4))

    def reset(self) -> None:
        self.credits = STARTING_CREDITS
