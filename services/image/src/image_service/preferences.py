"""What a client would like: the ``Prefer`` header (RFC 7240)."""

import re
from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends, Header, Request

RESPOND_ASYNC = "respond-async"
APPLIED_HEADER = "Preference-Applied"

# One preference with its parameters, up to the next comma; commas within quotes are part of a value.
_PREFERENCE = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^",])+')


def prefers(name: str, values: Iterable[str]) -> bool:
    """Whether a preference is among the ``values`` of all ``Prefer`` headers; its parameters do not matter."""
    return any(
        re.split(r"[=;]", preference, maxsplit=1)[0].strip().lower() == name
        for value in values
        for preference in _PREFERENCE.findall(value)
    )


async def respond_async(
    request: Request,
    _: Annotated[
        str | None,
        Header(alias="Prefer", description="`respond-async`: answer 202 as soon as the coins are set aside"),
    ] = None,
) -> bool:
    """Read the ``Prefer`` headers; the second parameter is only for the OpenAPI schema."""
    return prefers(RESPOND_ASYNC, request.headers.getlist("prefer"))


RespondAsyncDep = Annotated[bool, Depends(respond_async)]
