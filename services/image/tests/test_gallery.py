"""The list of pictures, when there are none."""

import httpx
import pytest


@pytest.mark.parametrize("cursor", ["x", "bm9uZQ", "W10"])
async def test_a_foreign_cursor_is_refused_in_an_empty_list_too(client: httpx.AsyncClient, cursor: str) -> None:
    response = await client.get("/api/image/history", params={"cursor": cursor})

    assert response.status_code == 422
    assert response.json()["details"][0]["field"] == "cursor"
