"""Form bodies in Stripe's bracket syntax: ``metadata[user_id]=42``, ``expand[]=latest_charge``, ``expand[0]=…``."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from sandbox_service.stripe.errors import StripeError

MAX_INTEGER = 99_999_999
"""Amounts have up to eight digits."""

_NAME = re.compile(r"([a-z_]+)((?:\[[^\[\]]*\])*)")


class Form:
    """The parameters of one request; what nobody asked for by the end is an error, as at Stripe."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._plain: dict[str, str] = {}
        self._nested: dict[str, list[tuple[str, str]]] = {}
        self.canonical = sorted(pairs)
        for name, value in self.canonical:
            match = _NAME.fullmatch(name)
            if match is None:
                raise _unknown(name)
            if match[2]:
                self._nested.setdefault(match[1], []).append((match[2][1:-1], value))
            else:
                self._plain[match[1]] = value

    @classmethod
    def parse(cls, text: str) -> "Form":
        return cls(parse_qsl(text, keep_blank_values=True))

    def has(self, name: str) -> bool:
        return name in self._plain

    def text(self, name: str) -> str | None:
        return self._plain.pop(name, None) or None

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise _missing(name)
        return value

    def integer(self, name: str) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?[0-9]{1,12}", value):
            raise StripeError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
        number = int(value)
        if number < 1:
            raise StripeError(
                "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param=name
            )
        if number > MAX_INTEGER:
            raise StripeError("Amount must be no more than $999,999.99", code="amount_too_large", param=name)
        return number

    def required_integer(self, name: str) -> int:
        number = self.integer(name)
        if number is None:
            raise _missing(name)
        return number

    def mapping(self, name: str) -> dict[str, str]:
        """``metadata[a]=1&metadata[b]=2`` → ``{"a": "1", "b": "2"}``."""
        return dict(self._nested.pop(name, []))

    def array(self, name: str) -> list[str]:
        """``expand[]=a`` and ``expand[0]=a`` alike."""
        return [value for _, value in self._nested.pop(name, [])]

    def finish(self) -> None:
        """Make sure that nothing is left over.

        Raises:
            StripeError: A parameter was sent that this operation does not know.
        """
        for name in [*self._plain, *self._nested]:
            raise _unknown(name)


def _missing(name: str) -> StripeError:
    return StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)


def _unknown(name: str) -> StripeError:
    return StripeError(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
