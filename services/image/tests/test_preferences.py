"""The ``Prefer`` header, however it is spelled (RFC 7240)."""

import pytest

from image_service.preferences import prefers


@pytest.mark.parametrize(
    "values",
    [
        ["respond-async"],
        ["Respond-Async"],
        ["  respond-async  "],
        ["respond-async, wait=10"],
        ["wait=10,respond-async"],
        ["return=minimal; foo=bar, RESPOND-ASYNC"],
        ["respond-async; wait=5"],
        ['respond-async=""'],
        ['foo="a, b; c", respond-async'],
        ['foo="a \\" b", respond-async'],
        ["return=minimal", "wait=3", "respond-async"],
        [",, respond-async ,"],
    ],
)
def test_it_is_asked_for(values: list[str]) -> None:
    assert prefers("respond-async", values)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["wait=10"],
        ["return=representation"],
        ["respond-asynchronously"],
        ["no-respond-async"],
        ["foo=respond-async"],
        ['foo="x, respond-async, y"'],
        ["foo; respond-async"],
        ['"respond-async"'],
    ],
)
def test_it_is_not(values: list[str]) -> None:
    assert not prefers("respond-async", values)
