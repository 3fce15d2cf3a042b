"""MongoDB's wire protocol over a link: commands are told by their names, writes by what they write."""

import asyncio
import contextlib
import struct
from typing import Any

import bson

from links.link import End, Link
from links.messages import CutError, Late, Message, passes

_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013
_FLAGS_BYTES = 4
_ONE_DOCUMENT, _SEQUENCE = 0, 1

WRITES = ("insert", "update", "delete", "findAndModify")


async def mongo(link: Link, caller: End, target: End) -> None:
    """Relay until one side closes; the tap sees the writes, all else passes.

    The two directions are relayed apart, because a server that is watched answers once and then goes on answering.
    """
    asked: dict[int, Message] = {}
    forth = asyncio.create_task(_forth(link, caller, target, asked))
    back = asyncio.create_task(_back(link, caller, target, asked))
    try:
        done, _ = await asyncio.wait([forth, back], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (forth, back):
            task.cancel()
        await asyncio.gather(forth, back, return_exceptions=True)


async def _forth(link: Link, caller: End, target: End, asked: dict[int, Message]) -> None:
    while True:
        content, request_id, _ = await _receive(caller)
        if name := _name_of(content):
            message = Message(link.name, name, content)
            fault = await link.tap.on_request(message)
            if isinstance(fault, Late):
                link.keep(asyncio.create_task(_deliver_late(link, content, fault.seconds)))
                raise CutError
            await passes(fault)
            asked[request_id] = message
        await target.send(content)


async def _back(link: Link, caller: End, target: End, asked: dict[int, Message]) -> None:
    while True:
        content, _, answers = await _receive(target)
        if (message := asked.pop(answers, None)) is not None:
            await passes(await link.tap.on_answer(message))
        await caller.send(content)


async def _receive(end: End) -> tuple[bytes, int, int]:
    """Return one message, its id, and the id of that which it answers."""
    head = await end.reader.readexactly(_HEADER.size)
    length, request_id, answers, _ = _HEADER.unpack(head)
    return head + await end.reader.readexactly(length - _HEADER.size), request_id, answers


async def _deliver_late(link: Link, content: bytes, seconds: float) -> None:
    await asyncio.sleep(seconds)
    if (target := await link.connect()) is not None:
        with contextlib.suppress(OSError, EOFError):
            await target.send(content)
            await _receive(target)
        target.reset()


def _name_of(content: bytes) -> str | None:
    """Name a write by its collection and, of a generation's step, the state it leads to; ``None`` for all else."""
    if _HEADER.unpack_from(content)[3] != _OP_MSG:
        return None
    command = command_of(content)
    verb = next(iter(command))
    if verb not in WRITES:
        return None
    written = command.get("update") if verb == "findAndModify" else command.get("updates", command.get("documents"))
    steps = list(dict.fromkeys(_states(written)))
    if command[verb] == "generations" and not steps and written is not None:
        steps = sorted(_fields(written) - {"lease", "version"})
        if not steps:
            return None  # it only shows life or claims: no step of a generation
    return f"{command[verb]}: {', '.join(steps) or verb}"


def command_of(content: bytes) -> dict[str, Any]:
    """Return the command of an ``OP_MSG``, its document sequences among its fields."""
    command: dict[str, Any] = {}
    at = _HEADER.size + _FLAGS_BYTES
    while at + 5 <= len(content):
        kind = content[at]
        (size,) = struct.unpack_from("<i", content, at + 1)
        section = content[at + 1 : at + 1 + size]
        if kind == _ONE_DOCUMENT:
            command = bson.decode(section) | command
        elif kind == _SEQUENCE:
            end = section.index(b"\0", 4)
            command[section[4:end].decode()] = bson.decode_all(section[end + 1 :])
        at += 1 + size
    # The command's own name comes first whatever order the sections came in.
    return dict(sorted(command.items(), key=lambda item: item[0] not in WRITES))


def _states(value: Any) -> list[str]:
    """Find every ``state`` that is written: plainly, or as a literal within a pipeline."""
    found: list[str] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("q", "query"):
                continue
            if key == "state" and isinstance(inner, str):
                found.append(inner)
            elif key == "state" and isinstance(inner, dict) and isinstance(inner.get("$literal"), str):
                found.append(inner["$literal"])
            else:
                found += _states(inner)
    elif isinstance(value, list):
        for item in value:
            found += _states(item)
    return found


def _fields(value: Any) -> set[str]:
    """Find the names of all fields that are changed."""
    return {name.partition(".")[0] for change in _changes(value) for name in change}


def _changes(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [change for item in value for change in _changes(item)]
    if not isinstance(value, dict):
        return []
    if "u" in value:
        return _changes(value["u"])
    return [inner for key, inner in value.items() if key in ("$set", "$inc", "$unset") and isinstance(inner, dict)]
