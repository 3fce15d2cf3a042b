"""The statement: stable while it grows, and as quick at its end as at its beginning."""

from typing import Any

import httpx
import pytest
import pytest_asyncio

from coin_service.ledger import Ledger
from coin_service.models import Draft, Entry, EntryType
from coin_service.store import LedgerStore
from common.mongo import Database, new_id
from common.testing import user_headers

TYPES: tuple[EntryType | None, ...] = ("earn", "deduct", None, "buy", "deduct", "generate", None)
"""What the wallet of these tests goes through, again and again; ``None`` is not listed."""


async def grow(store: LedgerStore, last: Entry, count: int) -> Entry:
    for _ in range(count):
        type_ = TYPES[last.seq % len(TYPES)]
        kind: Any = {None: "note", "earn": "credit", "buy": "credit"}.get(type_, "debit")
        draft = Draft(kind=kind, type=type_, key=new_id(), amount=last.seq % 3 if type_ else 0, reason=str(last.seq))
        last = Entry.following(last, draft, entry_id=new_id(), user_id=last.user_id)
        assert await store.append(last)
    return last


@pytest_asyncio.fixture
async def last(ledger: Ledger, store: LedgerStore, ada: str, bob: str) -> Entry:
    """A wallet with 70 entries after the bonus, 51 of them listed, beside another one."""
    await grow(store, await ledger.last(bob), 10)
    return await grow(store, await ledger.last(ada), 70)


async def read(client: httpx.AsyncClient, user_id: str, **query: Any) -> dict[str, Any]:
    response = await client.get("/api/coin/transactions", params=query, headers=user_headers(user_id))
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def walk(client: httpx.AsyncClient, user_id: str, **query: Any) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        data = await read(client, user_id, **query, **cursor)
        lines += data["transactions"]
        page = data["pagination"]
        assert page["hasNext"] == (page["nextCursor"] is not None)
        if not page["hasNext"]:
            return lines
        assert len(data["transactions"]) == page["limit"]
        cursor = {"cursor": page["nextCursor"]}


async def test_pages_and_cursors_show_the_same(client: httpx.AsyncClient, last: Entry, ada: str) -> None:
    by_cursor = await walk(client, ada, limit=7)
    by_page = [line for page in range(1, 9) for line in (await read(client, ada, page=page, limit=7))["transactions"]]
    assert by_cursor == by_page
    assert len(by_cursor) == last.listed == 51
    balance = 0
    for line in reversed(by_cursor):
        balance += line["amount"]
        assert line["balanceAfter"] == balance
    assert balance == last.total


@pytest.mark.parametrize("type_", ["bonus", "earn", "deduct", "buy", "generate", "grant"])
async def test_each_type_has_its_own_list(client: httpx.AsyncClient, last: Entry, ada: str, type_: EntryType) -> None:
    everything = await walk(client, ada, limit=100)
    expected = [line for line in everything if line["type"] == type_]
    assert await walk(client, ada, type=type_, limit=3) == expected
    page = (await read(client, ada, type=type_, limit=3, page=2))["pagination"]
    assert (page["total"], page["totalPages"]) == (len(expected), -(-len(expected) // 3))
    assert (await read(client, ada, type=type_, limit=3, page=2))["transactions"] == expected[3:6]


async def test_a_page_past_the_end_is_empty(client: httpx.AsyncClient, last: Entry, ada: str) -> None:
    for page in (7, 1_000_000_000):
        data = await read(client, ada, page=page)
        assert data["transactions"] == []
        assert data["pagination"] == {
            "page": page,
            "limit": 10,
            "total": 51,
            "totalPages": 6,
            "hasNext": False,
            "nextCursor": None,
        }


async def test_cursor_is_stable_while_the_wallet_grows(
    client: httpx.AsyncClient, store: LedgerStore, last: Entry, ada: str
) -> None:
    before = await walk(client, ada, limit=100)
    first = await read(client, ada, limit=20)
    await grow(store, last, 15)
    second = await read(client, ada, limit=20, cursor=first["pagination"]["nextCursor"])
    third = await read(client, ada, limit=20, cursor=second["pagination"]["nextCursor"])
    assert first["transactions"] + second["transactions"] + third["transactions"] == before
    assert third["pagination"]["hasNext"] is False


@pytest.mark.parametrize("query", ["type=gift", "type=", "type=hold", "limit=0", "limit=101", "page=0", "cursor=x"])
async def test_bad_queries(client: httpx.AsyncClient, ada: str, query: str) -> None:
    response = await client.get(f"/api/coin/transactions?{query}", headers=user_headers(ada))
    assert (response.status_code, response.json()["details"][0]["field"]) == (422, query.partition("=")[0])


async def test_cursors_of_other_lists_and_invented_ones(client: httpx.AsyncClient, last: Entry, ada: str) -> None:
    from common.pagination import encode_cursor

    of_type = (await read(client, ada, type="deduct", limit=1))["pagination"]["nextCursor"]
    headers = user_headers(ada)
    response = await client.get("/api/coin/transactions", params={"cursor": of_type}, headers=headers)
    assert response.status_code == 422
    for position in (0, -5, 1):
        assert (await read(client, ada, cursor=encode_cursor("all", position)))["transactions"] == []
    beyond = await read(client, ada, cursor=encode_cursor("all", 2**62), limit=100)
    assert len(beyond["transactions"]) == 51


async def stages(database: Database, query: dict[str, Any], sort: list[tuple[str, int]]) -> tuple[list[str], int]:
    """The stages of a query's plan, and how many index entries it looked at."""
    explained = await database["entries"].find(query).sort(sort).limit(10).explain()
    stage, names = explained["executionStats"]["executionStages"], []
    while stage:
        names.append(stage["stage"])
        stage = stage.get("inputStage")
    return names, explained["executionStats"]["totalKeysExamined"]


@pytest.mark.parametrize(
    ("query", "sort"),
    [
        ({}, [("seq", -1)]),
        ({"position": {"$lt": 30, "$gte": 20}}, [("position", -1)]),
        ({"type": "deduct", "type_position": {"$lt": 12, "$gte": 2}}, [("type_position", -1)]),
    ],
)
async def test_lists_come_straight_from_an_index(
    database: Database, last: Entry, ada: str, query: dict[str, Any], sort: list[tuple[str, int]]
) -> None:
    names, keys = await stages(database, {"user_id": ada, **query}, sort)
    assert "IXSCAN" in names
    assert not {"SORT", "COLLSCAN"} & set(names)
    assert keys <= 11


@pytest.mark.parametrize("query", [{"key": "k"}, {"payment_id": "p"}, {"$or": [{"key": "k"}, {"resolves": "k"}]}])
async def test_lookups_use_their_index(database: Database, last: Entry, query: dict[str, Any]) -> None:
    explained = await database["entries"].find(query).explain()
    assert "COLLSCAN" not in str(explained["queryPlanner"]["winningPlan"])
    assert explained["executionStats"]["totalDocsExamined"] == 0
