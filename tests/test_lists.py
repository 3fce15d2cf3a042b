"""Lists: pages for people, cursors for stability."""

import pytest

from journey.answers import Json, data, error, page
from journey.phone import Phone
from journey.pictures import HISTORY, draw

TRANSACTIONS = "/api/coin/transactions"
LISTS = {TRANSACTIONS: "transactions", HISTORY: "images"}


async def spend(phone: Phone, times: int) -> None:
    for number in range(times):
        data(await phone.post("/api/coin/deduct", {"amount": 1, "reason": f"number {number}"}))


async def test_a_list_begins_with_ten(phone: Phone) -> None:
    await spend(phone, 12)

    entries, pagination = page(await phone.get(TRANSACTIONS), "transactions")

    assert len(entries) == 10
    assert entries[0]["reason"] == "number 11"
    next_cursor = pagination.pop("nextCursor")
    assert next_cursor
    assert pagination == {"page": 1, "limit": 10, "total": 13, "totalPages": 2, "hasNext": True}


async def test_pages_follow_each_other(phone: Phone) -> None:
    await spend(phone, 6)

    pages = [page(await phone.get(TRANSACTIONS, page=number, limit=3), "transactions") for number in (1, 2, 3)]

    balances = [entry["balanceAfter"] for entries, _ in pages for entry in entries]
    assert balances == [94, 95, 96, 97, 98, 99, 100]
    assert [pagination["hasNext"] for _, pagination in pages] == [True, True, False]
    assert [pagination["page"] for _, pagination in pages] == [1, 2, 3]


@pytest.mark.parametrize("path", LISTS)
async def test_a_page_past_the_end_is_empty(phone: Phone, path: str) -> None:
    entries, pagination = page(await phone.get(path, page=1000, limit=100), LISTS[path])

    assert entries == []
    assert (pagination["page"], pagination["limit"], pagination["hasNext"]) == (1000, 100, False)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query",
    [{"page": value} for value in ("0", "-1", "1.5", "x", "", "9" * 30)]
    + [{"limit": value} for value in ("0", "101", "-1", "x", "1e1", "9" * 30)]
    + [{"cursor": value} for value in ("x", "!", "bm9uZQ", "x" * 5000, "e30", "W10", "WzEsMiwzXQ", "\x00")],
    ids=str,
)
async def test_an_odd_page_is_refused(phone: Phone, path: str, query: dict[str, str]) -> None:
    body = error(await phone.get(path, **query), 422, "validation_failed")

    assert [detail["field"] for detail in body["details"]] == list(query)


async def test_a_cursor_meets_everything_once_while_new_entries_arrive(phone: Phone) -> None:
    await spend(phone, 7)
    seen: list[Json] = []
    query: dict[str, str | int] = {"limit": 2}
    while True:
        entries, pagination = page(await phone.get(TRANSACTIONS, **query), "transactions")
        seen += entries
        await spend(phone, 1)
        if not pagination["hasNext"]:
            break
        query["cursor"] = pagination["nextCursor"]

    assert [entry["balanceAfter"] for entry in seen] == [93, 94, 95, 96, 97, 98, 99, 100]


async def test_a_cursor_keeps_to_its_type(phone: Phone) -> None:
    await spend(phone, 3)
    data(await phone.post("/api/coin/earn", {"amount": 5, "source": "ad_watch"}))
    _, pagination = page(await phone.get(TRANSACTIONS, limit=2, type="deduct"), "transactions")

    entries, rest = page(
        await phone.get(TRANSACTIONS, limit=2, type="deduct", cursor=pagination["nextCursor"]), "transactions"
    )

    assert [entry["reason"] for entry in entries] == ["number 0"]
    assert rest["hasNext"] is False


async def test_a_cursor_passes_a_deleted_picture(phone: Phone) -> None:
    drawn = [(await draw(phone, f"picture {number}"))["images"][0]["id"] for number in range(4)]
    _, pagination = page(await phone.get(HISTORY, limit=1), "images")
    data(await phone.delete(f"/api/image/{drawn[3]}"))
    data(await phone.delete(f"/api/image/{drawn[2]}"))

    images, rest = page(await phone.get(HISTORY, limit=1, cursor=pagination["nextCursor"]), "images")

    assert [image["id"] for image in images] == [drawn[1]]
    assert (rest["total"], rest["hasNext"]) == (2, True)
