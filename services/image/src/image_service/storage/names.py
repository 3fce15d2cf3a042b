"""Files' names: what they say, and which ones there can be."""

import re
import secrets
from typing import Literal

Suffix = Literal[".png", ".webp"]

_CONTENT_TYPES: dict[str, str] = {".png": "image/png", ".webp": "image/webp"}

# The second form is of files that were stored before names told their generation.
_FILE = re.compile(r"(?:([0-9a-f]{24})-[A-Za-z0-9_-]{22}(?:\.png|\.webp)|[A-Za-z0-9_-]{32}\.png)")

_COPY = re.compile(r"report-[0-9a-f]{24}-[A-Za-z0-9_-]{22}\.png")
"""Of a picture under review: stored like the others, but neither served nor listed."""


def new_file(generation_id: str, suffix: Suffix = ".png") -> str:
    """Make the name of a generation's file: 128 random bits of it, since whoever knows the name may see the picture."""
    return f"{generation_id}-{secrets.token_urlsafe(16)}{suffix}"


def is_file(name: str) -> bool:
    """Whether ``name`` is one that ``new_file`` makes, or once made; nothing else is ever looked for."""
    return _FILE.fullmatch(name) is not None


def checked(name: str) -> str:
    """Return ``name``, if it is a picture's, or of a copy for review.

    Raises:
        ValueError: It is not; no storage is asked for anything else.
    """
    if not (is_file(name) or _COPY.fullmatch(name)):
        raise ValueError("not the name of a file of ours")
    return name


def generation_of(name: str) -> str | None:
    """Return the id of the generation for which a file was made, if its name tells."""
    match = _FILE.fullmatch(name)
    return match[1] if match else None


def content_type(name: str) -> str:
    """Return the media type that a file's suffix stands for."""
    return _CONTENT_TYPES[name[name.rindex(".") :]]


def stem(name: str) -> str:
    """Return a file's name without its suffix."""
    return name[: name.rindex(".")]
