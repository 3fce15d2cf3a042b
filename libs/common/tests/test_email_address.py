"""Which e-mail addresses are taken, and which of them are the same."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from common.email_address import EmailAddress, email_key, parse_email
from common.schemas import PersonName


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("  Ada@EXAMPLE.com\n", "Ada@example.com"),
        ("x@example.test", "x@example.test"),
        ("a@test.local", "a@test.local"),
        ("first.last+tag@sub.example.co.uk", "first.last+tag@sub.example.co.uk"),
        ("иван@пример.рф", "иван@пример.рф"),
        ("e\u0301va@example.com", "éva@example.com"),
        ("a@XN--E1AFMKFD.com", "a@пример.com"),
    ],
)
def test_addresses_are_trimmed_and_put_into_one_form(text: str, stored: str) -> None:
    assert parse_email(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "ada",
        "ada@localhost",
        "ada@example..com",
        "ada@@example.com",
        "a b@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada\x00@example.com",
        "\ud800@example.com",
        "a\u200bda@example.com",
        "ada@exam\u200bple.com",
        "ada\u00ad@example.com",
        "ada@exam\u2060ple.com",
        "a\uff20b@example.com",
        "\u0430da@example.com",
        "ada@ex\u0430mple.com",
        "\u0430\u0441\u0435@example.com",
        '"ada lovelace"@example.com',
        "ada@[127.0.0.1]",
        "a" * 250 + "@b.de",
    ],
)
def test_what_is_no_address_or_looks_like_another_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|is not") as refusal:
        parse_email(text)
    assert not text or text not in str(refusal.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@example.com", "ADA@EXAMPLE.COM"),
        ("stra\u00dfe@example.com", "STRASSE@example.com"),
        ("e\u0301va@example.com", "\u00c9va@example.com"),
        ("\uff41da@example.com", "ada@example.com"),
        ("\u03c3ofia\u03c2@example.com", "\u03c3ofia\u03c3@example.com"),
        ("a@xn--e1afmkfd.com", "a@пример.com"),
    ],
)
def test_case_and_unicode_form_do_not_tell_two_addresses_apart(one: str, other: str) -> None:
    assert email_key(one if "xn--" not in one else parse_email(one)) == email_key(other)


@given(st.text())
def test_a_key_is_its_own_key(text: str) -> None:
    assert email_key(email_key(text)) == email_key(text)


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, "a@" + "a." * 500_000, "@" * 1_000_000, "a@" + "-" * 250, "a." * 125]
)
def test_no_shape_of_text_takes_long(text: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match=r"must|is not"):
        parse_email(text)
    assert time.process_time() - started < 0.5


def test_only_text_is_an_address() -> None:
    for value in (None, True, 1, ["a@b.de"], {"$gt": ""}):
        with pytest.raises(ValidationError):
            TypeAdapter(EmailAddress).validate_python(value, strict=True)


def test_names_are_one_line_of_one_to_a_hundred_characters() -> None:
    names = TypeAdapter(PersonName)
    assert names.validate_python("  Ada \U0001f469\u200d\U0001f4bb  ") == "Ada \U0001f469\u200d\U0001f4bb"
    assert names.validate_python("x" * 100)
    for bad in ("", "   ", "x" * 101, "a\r\nb", "a\x00", "\ud800", "a\x1bb"):
        with pytest.raises(ValidationError):
            names.validate_python(bad)
