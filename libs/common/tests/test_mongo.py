"""The driver's errors by our names, from a real server."""

import pytest
from pymongo import WriteConcern

from common.mongo import DATABASE_UNAVAILABLE, Database


async def test_a_write_that_the_majority_has_not_confirmed_is_of_unknown_outcome(database: Database) -> None:
    # One node cannot promise two. A server that is shutting down refuses its promise by the same error.
    collection = database["entries"].with_options(write_concern=WriteConcern(w=2))
    with pytest.raises(DATABASE_UNAVAILABLE):
        await collection.insert_one({"_id": 1})
    assert await database["entries"].count_documents({}) == 1, "it was written all the same"
