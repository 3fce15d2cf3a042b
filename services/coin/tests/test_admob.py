"""AdMob's callbacks: what Google signs, on which keys, and what cannot be made to look like it."""

import asyncio
import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from coin_service.errors import AdVerificationUnavailableError, InvalidSignatureError
from coin_service.providers.admob import verify
from coin_service.providers.admob_keys import MAX_AGE_SECONDS, PAUSE_SECONDS, AdKeyServer
from coin_service.testing.admob import FakeAdMob


class Clock:
    """Of those who keep the keys."""

    seconds = 1000.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(admob: FakeAdMob, clock: Clock) -> AdKeyServer:
    client = httpx.AsyncClient(transport=admob.transport)
    return AdKeyServer(client, "http://keys.test/verifier-keys.json", now=lambda: clock.seconds)


# Published in a public issue (marcojak/MTAdmob#77), with the key that Google had at that time.
REAL_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+nzvoGqvDeB9+SzE6igTl7TyK4JBbglwir9oTcQta8NuG26ZpZFxt+F2NDk7asTE6"
    "/2Yc8i1ATcGIqtuS5hv0Q=="
)
REAL_QUERY = (
    "ad_network=5450213213286189855&ad_unit=6125489951&reward_amount=1"
    "&reward_item=Get%201%20Credit%20for%20watching%20an%20ad&timestamp=1634106169956"
    "&transaction_id=0005ce35fd21df460a720895e10fa846"
    "&signature=MEYCIQD_TED25JJBw2AzwyRqyaadYShBs5gtPBeX4x4saBy2YQIhAIIexQlUbF9N4sujCyOaEtvku0WCuMNNrc_-PLHXPyfQ"
    "&key_id=3335741209"
)


def query(**fields: str) -> str:
    return "&".join(
        f"{name}={value}" for name, value in sorted({"ad_network": "54", "ad_unit": "27", **fields}.items())
    )


async def test_a_real_callback_of_google_is_genuine_and_no_letter_of_it_may_change(
    admob: FakeAdMob, keys: AdKeyServer
) -> None:
    admob.answers = [json.dumps({"keys": [{"keyId": 3335741209, "pem": "x", "base64": REAL_KEY}]}).encode()]

    reward = await verify(REAL_QUERY.encode(), keys)

    assert (reward.transaction_id, reward.amount, reward.ad_unit) == (
        "0005ce35fd21df460a720895e10fa846",
        1,
        "6125489951",
    )
    assert reward.user_id is None
    assert reward.rewarded_at is not None
    assert reward.rewarded_at.isoformat(timespec="milliseconds") == "2021-10-13T06:22:49.956+00:00"
    end = REAL_QUERY.index("&key_id=")
    for position in range(end):
        other = "7" if REAL_QUERY[position] != "7" else "8"
        with pytest.raises(InvalidSignatureError):
            await verify((REAL_QUERY[:position] + other + REAL_QUERY[position + 1 :]).encode(), keys)


@pytest.mark.parametrize("value", ["a b", "a+b", "a@b.c", "{é: 1}", "100%", "a%20b", "x&signature=y&key_id=1", "~"])
async def test_signed_is_the_decoded_text(admob: FakeAdMob, value: str, keys: AdKeyServer) -> None:
    signed = query(transaction_id="t1")
    raw = signed + f"&user_id={quote(value, safe='')}"

    reward = await verify(admob.sign(f"{signed}&user_id={value}", raw=raw), keys)

    assert reward.user_id == value
    if raw != f"{signed}&user_id={value}":
        with pytest.raises(InvalidSignatureError):
            await verify(admob.sign(raw, raw=raw), keys)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP256K1(), ec.SECP384R1()])
async def test_the_curve_is_the_keys_own(admob: FakeAdMob, curve: ec.EllipticCurve, keys: AdKeyServer) -> None:
    admob.key = ec.generate_private_key(curve)

    assert (await verify(admob.sign(query(transaction_id="t1")), keys)).transaction_id == "t1"


OURS, THEIRS = "2747237135", "6666666666"
LIE = f"x&ad_unit={OURS}&reward_amount=9&timestamp=1&transaction_id=t&user_id=ada"


@pytest.mark.parametrize(
    "raw",
    [
        f"ad_network=54%26ad_unit={THEIRS}%26custom_data=x&ad_unit={OURS}&reward_amount=9&timestamp=1&transaction_id=t",
        f"ad_network%3D54%26ad_unit%3D{THEIRS}%26custom_data=x&ad_unit={OURS}&reward_amount=9&timestamp=1"
        "&transaction_id=t",
        f"ad_network=54&ad_unit={THEIRS}%26custom_data=x&ad_unit={OURS}&reward_amount=9&timestamp=1&transaction_id=t",
        f"ad_network=54&ad_unit={THEIRS}&custom_data=x&ad_unit={OURS}&reward_amount=9&timestamp=1&transaction_id=t",
        f"ad_network=54&ad_unit%3D{THEIRS}%26custom_data=x&ad_unit={OURS}&reward_amount=9&timestamp=1&transaction_id=t",
        f"ad_network=54&%61d_unit={THEIRS}&custom_data=x&ad_unit={OURS}&reward_amount=9&timestamp=1&transaction_id=t",
    ],
)
async def test_anothers_signed_callback_cannot_be_cut_into_one_of_our_ad_unit(
    admob: FakeAdMob, raw: str, keys: AdKeyServer
) -> None:
    """Signed for their own ad unit with ``custom_data`` of their choice, sent with the escapes elsewhere."""
    signed = f"ad_network=54&ad_unit={THEIRS}&custom_data=x&ad_unit={OURS}&reward_amount=9&timestamp=1&transaction_id=t"
    honest = f"ad_network=54&ad_unit={THEIRS}&custom_data={quote(LIE.partition('&user_id')[0], safe='')}"
    reward = await verify(admob.sign(signed, raw=honest), keys)
    assert (reward.ad_unit, reward.amount) == (THEIRS, 0)

    with pytest.raises(InvalidSignatureError):
        await verify(admob.sign(signed, raw=raw), keys)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: b"",
        lambda good: good.partition(b"&signature=")[0],
        lambda good: good.replace(b"&signature=", b"&Signature="),
        lambda good: good.partition(b"&key_id=")[0],
        lambda good: good + b"&user_id=bob",
        lambda good: good.replace(b"key_id=", b"key_id=-"),
        lambda good: good.replace(b"key_id=", b"key_id=9"),
        lambda good: good.replace(b"key_id=", b"key_id=" + b"9" * 30),
        lambda good: b"user_id=bob&" + good,
        lambda good: good.replace(b"&signature=", b"&user_id=bob&signature="),
        lambda good: good.replace(b"ad_unit=27", b"ad_unit=28"),
        lambda good: good.replace(b"signature=", b"signature=AAAA"),
        lambda good: good.replace(b"signature=", b"signature=!"),
        lambda good: good.replace(b"ad_unit", b"ad_unit\xff"),
        lambda good: b"x=" + b"1" * 5000 + b"&" + good,
    ],
)
async def test_what_google_did_not_sign_is_refused(
    admob: FakeAdMob, spoil: Callable[[bytes], bytes], keys: AdKeyServer
) -> None:
    good = admob.sign(query(transaction_id="t1", user_id="ada"))
    assert (await verify(good, keys)).user_id == "ada"

    with pytest.raises(InvalidSignatureError):
        await verify(spoil(good), keys)


@pytest.mark.parametrize(
    ("timestamp", "year"), [("1507770365237", 2017), ("1507770365237823", 2017), ("0", None), ("9" * 20, None)]
)
async def test_times_are_milliseconds_or_finer(
    admob: FakeAdMob, timestamp: str, year: int | None, keys: AdKeyServer
) -> None:
    reward = await verify(admob.sign(query(timestamp=timestamp)), keys)

    assert (reward.rewarded_at and reward.rewarded_at.year) == year


async def test_keys_are_asked_for_once_and_again_when_their_time_is_over(
    admob: FakeAdMob, keys: AdKeyServer, clock: Clock
) -> None:
    admob.headers = {"Cache-Control": "public,max-age=600", "Age": "100"}
    await asyncio.gather(*(keys.find(admob.key_id) for _ in range(20)))
    clock.seconds += 499
    await keys.find(admob.key_id)
    assert len(admob.asked) == 1

    clock.seconds += 2
    await asyncio.gather(*(keys.find(admob.key_id) for _ in range(20)))
    assert len(admob.asked) == 2


@pytest.mark.parametrize("control", ["max-age=999999999", "", "public", "s-maxage=1, max-age=999999"])
async def test_keys_are_never_kept_longer_than_a_day(
    admob: FakeAdMob, control: str, keys: AdKeyServer, clock: Clock
) -> None:
    admob.headers = {"Cache-Control": control}
    await keys.find(admob.key_id)
    clock.seconds += MAX_AGE_SECONDS - 1
    await keys.find(admob.key_id)
    assert len(admob.asked) == 1
    clock.seconds += 2
    await keys.find(admob.key_id)
    assert len(admob.asked) == 2


async def test_an_unknown_key_is_asked_for_once_however_many_name_one(
    admob: FakeAdMob, keys: AdKeyServer, clock: Clock
) -> None:
    await keys.find(admob.key_id)
    clock.seconds += PAUSE_SECONDS + 1
    admob.key_id += 1  # rotated

    found = await asyncio.gather(*(keys.find(admob.key_id) for _ in range(20)))

    assert all(found)
    assert len(admob.asked) == 2
    assert await asyncio.gather(*(keys.find(unknown) for unknown in range(50))) == [None] * 50
    assert len(admob.asked) == 2
    clock.seconds += PAUSE_SECONDS + 1
    assert await asyncio.gather(*(keys.find(unknown) for unknown in range(50))) == [None] * 50
    assert len(admob.asked) == 3


BROKEN: list[bytes | int | Exception] = [
    httpx.ConnectError("away"),
    500,
    404,
    302,
    b"<html>",
    b'{"keys": []}',
    b'{"keys": [{"keyId": "1", "base64": "AAAA"}]}',
    b'{"keys": [{"keyId": 1, "base64": "AAAA"}]}',
    b"[" * 100_000,
    b" " * 600_000,
]


@pytest.mark.parametrize("answer", BROKEN, ids=lambda answer: str(answer)[:30])
async def test_the_last_good_keys_outlive_an_outage(
    admob: FakeAdMob, answer: bytes | int | Exception, keys: AdKeyServer, clock: Clock
) -> None:
    await keys.find(admob.key_id)
    clock.seconds += 10 * MAX_AGE_SECONDS
    admob.answers = [answer]

    assert await keys.find(admob.key_id) is not None
    with pytest.raises(AdVerificationUnavailableError):
        await keys.find(admob.key_id + 1)
    assert len(admob.asked) == 2

    clock.seconds += PAUSE_SECONDS + 1
    assert await keys.find(admob.key_id + 1) is None


@pytest.mark.parametrize("answer", BROKEN, ids=lambda answer: str(answer)[:30])
async def test_without_any_keys_nothing_is_believed(
    admob: FakeAdMob, answer: bytes | int | Exception, keys: AdKeyServer, clock: Clock
) -> None:
    admob.answers = [answer]
    for _ in range(5):
        with pytest.raises(AdVerificationUnavailableError):
            await verify(admob.sign(query(transaction_id="t1")), keys)
    assert len(admob.asked) == 1

    clock.seconds += PAUSE_SECONDS + 1
    assert (await verify(admob.sign(query(transaction_id="t1")), keys)).transaction_id == "t1"


async def test_one_key_of_no_use_spoils_not_the_others(admob: FakeAdMob, keys: AdKeyServer) -> None:
    odd = [{"keyId": 1, "base64": "AAAA"}, {"keyId": 2, "base64": "!"}]
    der = admob.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    good = {"keyId": admob.key_id, "base64": base64.b64encode(der).decode()}
    admob.answers = [json.dumps({"keys": [*odd, good]}).encode()]

    assert await keys.find(admob.key_id) is not None
