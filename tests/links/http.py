"""HTTP/1.1 over a link: one request, then its answer, again and again on a kept connection."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from links.link import End, Link
from links.messages import CutError, Late, Message, passes

T = TypeVar("T")

HEAD_END = b"\r\n\r\n"
_CHUNK = 1 << 16


async def http(link: Link, caller: End, target: End) -> None:
    """Relay until one side closes; an end of the stream is one of the conversation, wherever it comes."""
    while True:
        head = await caller.reader.readuntil(HEAD_END)
        content = head + await _body(caller.reader, _headers(head))
        method, path, _ = head.split(b" ", 2)
        message = Message(link.name, f"{method.decode()} {path.decode().partition('?')[0]}", content)
        fault = await link.tap.on_request(message)
        if isinstance(fault, Late):
            link.keep(asyncio.create_task(_deliver_late(link, content, fault.seconds)))
            raise CutError
        await passes(fault)
        await target.send(content)
        if not await _answer(link, message, caller, target, is_head=method == b"HEAD"):
            return


async def _answer(link: Link, message: Message, caller: End, target: End, *, is_head: bool) -> bool:
    """Pass the answer back; ``False`` if the connection ends with it."""
    head = await _while_awaited(caller, target.reader.readuntil(HEAD_END))
    status, headers = int(head[9:12]), _headers(head)
    has_body = not (is_head or status < 200 or status in (204, 304))
    if has_body and headers.get("content-type", "").startswith("text/event-stream"):
        await passes(await link.tap.on_answer(message))
        await caller.send(head)
        await _while_awaited(caller, _pour(target, caller))
        return False
    ends_connection = has_body and not {"content-length", "transfer-encoding"} & headers.keys()
    body = b""
    if ends_connection:
        body = await _while_awaited(caller, target.reader.read())
    elif has_body:
        body = await _while_awaited(caller, _body(target.reader, headers))
    await passes(await link.tap.on_answer(message))
    await caller.send(head + body)
    return not ends_connection and headers.get("connection", "").lower() != "close"


async def _while_awaited(caller: End, receiving: Coroutine[Any, Any, T]) -> T:
    """Receive from the target, unless the caller leaves meanwhile, which the target is to notice."""
    answer = asyncio.create_task(receiving)
    leaving = asyncio.create_task(caller.reader.read(1))
    try:
        await asyncio.wait([answer, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ConnectionResetError  # or it sends a second request before the first is answered: nobody here does
        return answer.result()
    finally:
        for task in (answer, leaving):
            task.cancel()
        await asyncio.gather(answer, leaving, return_exceptions=True)


async def _deliver_late(link: Link, content: bytes, seconds: float) -> None:
    await asyncio.sleep(seconds)
    if (target := await link.connect()) is not None:
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
            await target.send(content)
            head = await target.reader.readuntil(HEAD_END)
            await _body(target.reader, _headers(head))
        target.reset()


async def _pour(source: End, drain: End) -> None:
    while chunk := await source.reader.read(_CHUNK):
        await drain.send(chunk)


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Read one body as it stands on the wire."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts = []
        while True:
            parts.append(line := await reader.readuntil(b"\r\n"))
            size = int(line.partition(b";")[0], 16)
            parts.append(
                await reader.readexactly(size + 2)
            )  # of the last chunk: the empty line, as nobody has trailers
            if size == 0:
                return b"".join(parts)
    return await reader.readexactly(int(headers.get("content-length", "0")))


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {
        name.strip().lower(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon
    }
