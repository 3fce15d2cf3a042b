"""Requests that could be read in two ways, that never end, or that are too large."""

import asyncio
import json
import random

import httpx
import pytest

from gateway_service.testing import AssertRefused, ScriptedService, Seen, SendRaw, StartGateway, answer, statuses

POST = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /api/auth/login HTTP/1.1\r\nHost: x\r\n\r\n"
EVIL = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"

AMBIGUOUS = {
    "length and chunked": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + EVIL,
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + EVIL,
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + EVIL,
    "two equal lengths": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" + EVIL,
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello" + EVIL,
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nhello" + EVIL,
    "a negative length": POST + b"Content-Length: -5\r\n\r\nhello" + EVIL,
    "an empty length": POST + b"Content-Length: \r\n\r\nhello" + EVIL,
    "a length in hex": POST + b"Content-Length: 0x5\r\n\r\nhello" + EVIL,
    "an endless length": POST + b"Content-Length: 99999999999999999999999\r\n\r\nhello" + EVIL,
    "a space before the colon": POST + b"Content-Length : 5\r\n\r\nhello" + EVIL,
    "another encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + EVIL,
    "two encodings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + EVIL,
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + EVIL,
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + EVIL,
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + EVIL,
    "a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + EVIL,
    "chunked of HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + EVIL,
    "bare line feeds": GET.replace(b"\r\n", b"\n"),
    "one bare line feed": b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c: d\r\n\r\n",
    "a space before the first header": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "two equal hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "a host with a path": b"GET / HTTP/1.1\r\nHost: x/internal\r\n\r\n",
    "a host with a user": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "an empty host": b"GET / HTTP/1.1\r\nHost: \r\n\r\n",
    "a fragment": b"GET /api/auth/login#/../x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the target": b"GET /api/auth /login HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without a path": b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n" + EVIL,
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "no HTTP at all": b"\x00\x01\x02\x03\r\n\r\n",
    "a chunk size in hex notation": POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n" + EVIL,
    "a chunk size with a space": POST + b"Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n" + EVIL,
    "a negative chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n" + EVIL,
    "an endless chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n" + EVIL,
    "a chunk with a bare line feed": POST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n" + EVIL,
    "a chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n" + EVIL,
    "a line feed in a chunk's extension": POST
    + b"Transfer-Encoding: chunked\r\n\r\n5;a=\nb\r\nhello\r\n0\r\n\r\n"
    + EVIL,
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("shape", AMBIGUOUS)
async def test_a_request_that_can_be_read_in_two_ways_is_refused_once_and_the_connection_closed(
    shared_gateway: httpx.AsyncClient,
    shared_service: ScriptedService,
    raw: SendRaw,
    shape: str,
    assert_refused: AssertRefused,
) -> None:
    assert_refused(await raw(shared_gateway, AMBIGUOUS[shape], silence_seconds=3), 400, "bad_request")
    assert shared_service.seen == []


async def test_a_bad_second_request_closes_after_the_first_is_answered(
    gateway: httpx.AsyncClient, service: ScriptedService, raw: SendRaw
) -> None:
    received = await raw(
        gateway, GET + POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + EVIL, silence_seconds=3
    )

    assert statuses(received) == [200]
    assert len(service.seen) == 1


async def test_a_body_that_breaks_while_it_is_sent_on_reaches_nobody_as_whole(
    gateway: httpx.AsyncClient, service: ScriptedService, raw: SendRaw, assert_refused: AssertRefused
) -> None:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    large = b"%x\r\n%b\r\n" % (100_000, b"a" * 100_000)

    received = await raw(gateway, head + large, b"not a size\r\n" + EVIL, silence_seconds=3, pause=0.2)

    assert_refused(received, 400, "bad_request")
    assert service.seen == []  # it saw the beginning, and the connection die
    assert len(service.arriving) > 0


async def test_a_refused_request_has_one_answer_whatever_its_body_comes_to(
    start_gateway: StartGateway, service: ScriptedService, raw: SendRaw
) -> None:
    gateway = await start_gateway(body_stall_timeout_seconds=0.3)
    head = b"POST /api/coin/buy HTTP/1.1\r\nHost: x\r\n"

    for body in (
        [b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", b"not a size\r\n" + EVIL],
        [b"Content-Length: 100\r\n\r\nhalf"],
    ):
        assert statuses(await raw(gateway, head + body[0], *body[1:], silence_seconds=4, pause=0.2)) == [401]
    assert service.seen == []


async def test_pipelined_requests_are_answered_in_order(
    gateway: httpx.AsyncClient, service: ScriptedService, raw: SendRaw
) -> None:
    async def slower_first(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if b"?0" in seen.request_line:
            for _ in range(100):
                await asyncio.sleep(0)  # whoever else could run now has his turn
        writer.write(answer(seen.request_line.split(b"?")[1][:1]))

    service.handler = slower_first
    requests = b"".join(b"GET /api/auth/login?%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(5))
    received = await raw(gateway, requests)

    assert [body[:1] for body in received.split(b"\r\n\r\n")[1:]] == [b"0", b"1", b"2", b"3", b"4"]


async def test_endless_pipelining_is_cut(gateway: httpx.AsyncClient, service: ScriptedService, raw: SendRaw) -> None:
    received = await raw(gateway, GET * 500, silence_seconds=3)

    assert 1 <= len(statuses(received)) < 30


async def test_a_trailer_is_no_header(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], raw: SendRaw
) -> None:
    body = b"2\r\nhi\r\n0\r\nAuthorization: " + token["Authorization"].encode() + b"\r\nX-Thing: 1\r\n\r\n"

    for path, status in ((b"/api/auth/login", 200), (b"/api/coin/buy", 401)):
        request = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        assert statuses(await raw(gateway, request)) == [status]
    assert len(service.seen) == 1
    assert service.seen[0].values(b"authorization") == service.seen[0].values(b"x-thing") == []
    assert service.seen[0].body == b"hi"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.0, HTTP/1.1"])
async def test_a_wish_for_another_protocol_is_passed_over(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, raw: SendRaw, upgrade: bytes
) -> None:
    # Java's HttpClient asks for h2c in every request in the clear.
    request = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + upgrade + b"\r\nHTTP2-Settings: AAA\r\n"

    received = await raw(shared_gateway, request + b"Content-Length: 41\r\n\r\n" + EVIL + b"0123456789", GET)

    assert statuses(received) == [200, 200]
    assert shared_service.seen[0].body == EVIL + b"0123456789"
    assert not {b"upgrade", b"http2-settings", b"connection"} & {name for name, _ in shared_service.seen[0].headers}
    assert shared_service.seen[1].request_line == b"GET /api/auth/login HTTP/1.1"


@pytest.mark.asyncio(loop_scope="module")
async def test_many_upgrades_in_one_packet(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, raw: SendRaw
) -> None:
    one = b"GET /api/auth/login HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"

    assert statuses(await raw(shared_gateway, one * 10)) == [200] * 10
    assert 1 <= len(statuses(await raw(shared_gateway, one * 2000))) < 30


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("method", [b"TRACE", b"FOO", b"PROPFIND", b"PURGE", b"SOURCE", b"M-SEARCH", b"get", b"LINK"])
async def test_other_methods_are_405(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, raw: SendRaw, method: bytes
) -> None:
    received = await raw(shared_gateway, method + b" /api/auth/login HTTP/1.1\r\nHost: x\r\n\r\n")

    assert statuses(received) == [405]
    assert b"\r\nallow: DELETE, GET, HEAD" in received
    assert json.loads(received.partition(b"\r\n\r\n")[2])["code"] == "method_not_allowed"
    assert shared_service.seen == []


@pytest.mark.asyncio(loop_scope="module")
async def test_connect_is_405(shared_gateway: httpx.AsyncClient, raw: SendRaw, assert_refused: AssertRefused) -> None:
    received = await raw(shared_gateway, b"CONNECT internal:80 HTTP/1.1\r\nHost: internal:80\r\n\r\n" + EVIL)

    assert_refused(received, 405, "method_not_allowed")


async def test_a_request_that_comes_byte_by_byte(
    gateway: httpx.AsyncClient, service: ScriptedService, raw: SendRaw
) -> None:
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"

    received = await raw(gateway, *[bytes([byte]) for byte in chunked + GET], pause=0.001)

    assert statuses(received) == [200, 200]
    assert service.seen[0].body == b"helloabc"


@pytest.mark.parametrize("seed", range(8))
async def test_bent_requests_are_never_answered_twice_nor_by_a_crash(
    gateway: httpx.AsyncClient, raw: SendRaw, seed: int
) -> None:
    good = [
        GET,
        POST + b"Content-Length: 5\r\n\r\nhello",
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ]
    bits = [
        b"\r\n",
        b"\n",
        b"\x00",
        b" ",
        b":",
        b"Content-Length: 3\r\n",
        b"0\r\n\r\n",
        b"Upgrade: x\r\n",
        b"\xff",
        b"-1",
    ]
    chance = random.Random(seed)

    async def send_one() -> None:
        request = bytearray(chance.choice(good))
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(request))
            request[place : place + chance.randrange(4)] = chance.choice(bits)
        answers = statuses(await raw(gateway, bytes(request), silence_seconds=0.3))
        # What is bent may look like two requests, never like a fault of ours.
        assert len(answers) <= 2, bytes(request)
        assert all(status < 500 for status in answers), bytes(request)

    await asyncio.gather(*(send_one() for _ in range(25)))
    assert (await gateway.get("/api/auth/login")).status_code == 200
