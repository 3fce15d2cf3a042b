"""Bodies of strangers: read up to a cap, and not a chunk further."""

import gzip
from collections.abc import AsyncIterator

import httpx
import pytest

from common.http import BodyTooLargeError, read_capped

MAX_BYTES = 10


class Chunks(httpx.AsyncByteStream):
    """A body in pieces, as from a socket; counts those that were taken."""

    def __init__(self, *chunks: bytes | httpx.HTTPError) -> None:
        self._chunks = chunks
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            if isinstance(chunk, httpx.HTTPError):
                raise chunk
            yield chunk


@pytest.mark.parametrize("chunks", [(), (b"0123456789",), (b"01234", b"", b"56789")])
async def test_a_body_up_to_the_cap_is_read_whole(chunks: tuple[bytes, ...]) -> None:
    assert await read_capped(httpx.Response(200, stream=Chunks(*chunks)), MAX_BYTES) == b"".join(chunks)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "3"}])
async def test_a_longer_one_is_left_where_it_passes_the_cap(headers: dict[str, str]) -> None:
    body = Chunks(b"01234", b"56789", b"x", b"never read", b"never read")
    with pytest.raises(BodyTooLargeError, match="10 bytes"):
        await read_capped(httpx.Response(200, headers=headers, stream=body), MAX_BYTES)
    assert body.taken == 3


async def test_a_packed_body_counts_as_unpacked() -> None:
    packed = gzip.compress(b"0" * 1000)
    assert len(packed) < 100
    response = httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Chunks(packed))
    with pytest.raises(BodyTooLargeError):
        await read_capped(response, 100)


async def test_a_broken_off_body_stays_what_it_is() -> None:
    body = Chunks(b"01234", httpx.ReadError("reset"))
    with pytest.raises(httpx.ReadError):
        await read_capped(httpx.Response(200, stream=body), MAX_BYTES)
