"""What was earned today, by source: the day's limits are as exact as this."""

from coin_service.audit.documents import Deviations, TellRule, coins
from common.mongo import Document


class Rewards:
    """Adds the rewards of each source's day up again; which ads are open is not money and not looked at."""

    def __init__(self, tell: TellRule) -> None:
        self._tell = tell
        self._deviations = Deviations(tell)
        self._earned: dict[str, tuple[str, int]] = {}

    def add(self, entry: Document, *, follows: bool) -> None:
        """Tell where the entry carries another day, or other coins of it, than follow from all entries up to it."""
        carried = _earned_in(entry)
        source = entry.get("source")
        if (entry.get("kind"), entry.get("type")) == ("credit", "earn") and source is not None:
            before = self._earned.get(str(source), ("", 0))
            day = carried.get(str(source), before)[0]
            if day < before[0]:
                self._tell("earned", f"{source} goes back from {before[0]} to {day}")
            self._earned[str(source)] = (day, coins(entry, "amount") + (before[1] if day == before[0] else 0))
        for name in sorted({*carried, *self._earned}):
            found, expected = carried.get(name, ("", 0)), self._earned.get(name, ("", 0))
            gap = 0 if found == expected else (found[0] if found[0] != expected[0] else "", found[1] - expected[1])
            said = "{} gave {} coins on {}, {} on {} follows from the entries"
            values = (name, found[1], found[0], expected[1], expected[0])
            self._deviations.compare(name, gap, said, *values, follows=follows, rule="earned")


def _earned_in(entry: Document) -> dict[str, tuple[str, int]]:
    earned = entry.get("earned")
    if not isinstance(earned, dict):
        return {}
    return {
        name: (str(of_source.get("day")), coins(of_source, "coins"))
        for name, of_source in earned.items()
        if isinstance(of_source, dict)
    }
