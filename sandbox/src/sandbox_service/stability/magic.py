"""Words in a prompt that make the vendor behave otherwise: ``a fox [sandbox:filtered-2]``."""

import re
from dataclasses import dataclass

MAX_SLOW_MS = 120_000

ALL = 1_000_000
"""More pictures than any order has."""

_WORD = re.compile(r"\[sandbox:([a-z-]+?)(?:-(\d{1,6}))?\]", re.IGNORECASE)


@dataclass(frozen=True)
class Magic:
    """What the words in one prompt ask for; the README has the table."""

    moderated: bool = False
    filtered: int = 0
    failed: bool = False
    broken: bool = False
    garbage: bool = False
    status: int | None = None
    delay_ms: int = 0
    foreign_language: bool = False
    public_figure: bool = False


def read_magic(text: str) -> Magic:
    """The magic words in ``text``; unknown ones mean nothing."""
    words = {word.lower(): int(number) if number else None for word, number in _WORD.findall(text)}
    status = words.get("error") if "error" in words else None
    if "error" in words and (status is None or not 400 <= status <= 599):
        status = 500
    return Magic(
        moderated="moderated" in words,
        filtered=(words["filtered"] or ALL) if "filtered" in words else 0,
        failed="failed" in words,
        broken="broken-picture" in words,
        garbage="garbage" in words,
        status=status,
        delay_ms=min(words.get("slow") or 0, MAX_SLOW_MS),
        foreign_language="foreign-language" in words,
        public_figure="public-figure" in words,
    )


def without_magic(text: str) -> str:
    """The prompt that is drawn: magic changes what happens, not what is seen."""
    return " ".join(_WORD.sub(" ", text).split())
