"""Everybody admitted, and every component registered, is listed page by page in the order in which they came."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import insert, select

from marketplace.client.lists import items
from marketplace.client.problem import ProblemError
from marketplace.participants import connectors, queries
from marketplace.participants.models import Connector, Participant
from marketplace.plumbing.paging import Paged
from tests.house import House, open_house
from tests.participants.test_connectors import register
from tests.plans import walks

MANY = 3000
LISTS: dict[type[Participant | Connector], Callable[..., Paged[Any]]] = {
    Participant: queries.admitted,
    Connector: connectors.all_connectors,
}


def test_a_page_of_either_is_read_by_the_key(tmp_path: Path, either_url: str) -> None:
    with open_house(tmp_path / "house", either_url) as house:
        _crowd(house)
        database = house.runtime.database
        for table, read in LISTS.items():
            name = table.__tablename__
            key = f"sqlite_autoindex_{name}_1" if database.engine.dialect.name == "sqlite" else f"pk_{name}"
            with database.reading() as db:
                cursor = read(db, limit=20).next
            assert walks(database, partial(read, limit=20)) == [key]
            assert walks(database, partial(read, cursor=cursor, limit=20))[-1] == f"{key} behind"


def _crowd(house: House) -> None:
    register(house)
    with house.arrange() as db:
        for table in LISTS:
            first = db.exec(select(table)).first()
            assert first is not None
            rows = [first.model_dump() | _unique(first, f"row_{number:05d}") for number in range(MANY)]
            db.connection().execute(insert(table), rows)
        db.connection().execute(text("ANALYZE"))


def _unique(first: Participant | Connector, name: str) -> dict[str, str]:
    return dict.fromkeys({"id", "credit_code", "identifier"} & first.model_dump().keys(), name)


@pytest.mark.parametrize("path", ["/v1/participants", "/v1/connectors"])
def test_the_pages_follow_each_other_to_the_end(market: Any, path: str) -> None:
    for number in range(5):
        register(market.house, identifier=f"did:web:connector-{number}.example")
    client = market.client("pharma")
    whole = client.get(path)
    assert whole["next"] is None
    assert len(whole["items"]) == (5 if path == "/v1/connectors" else len(market.house.cast))
    assert list(items(client, path, {"limit": 2})) == whole["items"]
    assert [one["id"] for one in whole["items"]] == sorted(one["id"] for one in whole["items"])
    with pytest.raises(ProblemError, match="not made by this list"):
        client.get(path, {"cursor": "nobody"})
