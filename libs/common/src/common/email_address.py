"""What an e-mail address is, and when two are the same: the one rule of every service that takes one."""

import unicodedata
from typing import Annotated

import email_validator
from pydantic import AfterValidator, Field

MAX_EMAIL_CHARACTERS = 254
"""What fits into a path of 256 octets beside its brackets (RFC 5321, section 4.5.3.1.3)."""

# The library refuses names that no public DNS has (.test, .local). Whether mail arrives is learnt by sending some.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

_SCRIPTS_WITH_TWINS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"})
"""Alphabets that share shapes; as ``unicodedata.name`` begins."""

_LATIN_TWINS = frozenset("\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u04bb\u0501\u051b\u051d\u03bf")
"""Cyrillic and Greek small letters that nobody can tell from Latin ones."""


def parse_email(text: str) -> str:
    """Return an address as it is stored and shown: trimmed, Unicode-composed, its domain in small letters.

    Raises:
        ValueError: It is not an address, or one made to look like another; the message repeats nothing of it.
    """
    trimmed = text.strip()
    if len(trimmed) > MAX_EMAIL_CHARACTERS:
        raise ValueError(f"must be at most {MAX_EMAIL_CHARACTERS} characters")
    try:
        # No DNS: a name server that is slow or away must not decide who may register.
        found = email_validator.validate_email(trimmed, check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError as error:
        raise ValueError("is not a valid e-mail address") from error
    # Some characters turn into an @ or a dot once compatible forms are folded.
    if "." not in found.domain or email_key(found.normalized).count("@") != 1:
        raise ValueError("is not a valid e-mail address")
    if any(_mixes_alphabets(part) for part in (found.local_part, *found.domain.split("."))) or (
        found.domain.isascii() and _looks_latin(found.local_part)
    ):
        raise ValueError("must not use letters that look like those of another alphabet")
    return found.normalized


def email_key(email: str) -> str:
    """Return what is equal for equal addresses: case and Unicode form do not tell two apart."""
    # Folding can take letters apart again, hence the second pass (Unicode, section 3.13, "caseless matching").
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", email)).casefold()
    return unicodedata.normalize("NFKC", folded)


def _mixes_alphabets(text: str) -> bool:
    letters = (letter for letter in unicodedata.normalize("NFKC", text) if letter.isalpha())
    alphabets = {unicodedata.name(letter, "").partition(" ")[0] for letter in letters}
    return len(alphabets & _SCRIPTS_WITH_TWINS) > 1


def _looks_latin(text: str) -> bool:
    letters = {letter for letter in text.lower() if letter.isalpha()}
    return bool(letters) and letters <= _LATIN_TWINS


EmailAddress = Annotated[
    str, AfterValidator(parse_email), Field(json_schema_extra={"format": "email"}, examples=["ada@example.com"])
]
"""An address in a request, checked and put into its stored form; ``email_key`` tells whether two are the same."""
