"""What happened during a run, and what was wrong."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Figures of a run; ``violations`` fail it."""

    counts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    peak_megabytes: dict[str, float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def violated(self, what: str) -> None:
        self.violations.append(what)

    def show(self) -> str:
        outcomes = "\n".join(f"  {times:6}  {name}" for name, times in sorted(self.outcomes.items()))
        counts = "\n".join(f"  {times:6}  {name}" for name, times in sorted(self.counts.items()))
        memory = ", ".join(f"{name} {megabytes:.0f}" for name, megabytes in self.peak_megabytes.items())
        return f"\nanswers\n{outcomes}\nfaults and work\n{counts}\nmemory at most, MB: {memory}"
