"""The files of a version, those left out of it and those held back are read page by page, each over its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session, SQLModel, insert

from marketplace.assets.models import VersionFile
from marketplace.collection import queries as collection
from marketplace.collection.models import CollectedFile
from marketplace.governance import queries as governance
from marketplace.governance.models import GovernedFile
from marketplace.plumbing.paging import NotOnThisList, Paged
from tests.governance.stage import collected, start
from tests.house import House, open_house
from tests.plans import walks

MANY = 3000
LIMIT = 400


@dataclass(frozen=True)
class Filled:
    """A version of many files, every other of them left out or held back; lists: table -> a page of its list."""

    house: House
    lists: dict[type[SQLModel], Callable[..., Paged[Any]]]


@pytest.fixture
def filled(tmp_path: Path, either_url: str) -> Iterator[Filled]:
    with open_house(tmp_path / "house", either_url) as house:
        raw = collected(house, [b"one"])
        job = start(house, raw).id
        same = {"version_id": raw.id, "job_id": job, "raw": "", "path": "", "label": "", "study": "", "bytes": 1}
        with house.arrange() as db:
            for table in (VersionFile, CollectedFile, GovernedFile):
                rows = [table(**same, **_turn(number), sha256=f"{number}", actions={}) for number in range(1, MANY)]
                db.connection().execute(insert(table), [row.model_dump() for row in rows])
            db.connection().execute(text("ANALYZE"))
        yield Filled(
            house,
            {
                VersionFile: partial(collection.files, version=raw),
                CollectedFile: partial(collection.left_out, version=raw),
                GovernedFile: partial(governance.held_back, job_id=job),
            },
        )


def _turn(number: int) -> dict[str, Any]:
    """Where a file stands and what became of it: batches whose labels sort otherwise than they were sent."""
    out = bool(number % 2)
    judged = {"reason": "broken" if out else "", "outcome": "held_back" if out else "governed"}
    return {"batch": f"{number * 7 % 10}", "position": number} | judged


def _whole(db: Session, read: Callable[..., Paged[Any]]) -> list[Any]:
    found, cursor = list[Any](), None
    while True:
        page = read(db, cursor=cursor, limit=LIMIT)
        assert len(page.rows) == LIMIT or page.next is None
        found += page.rows
        if (cursor := page.next) is None:
            return found


def test_each_list_is_in_its_order_and_whole(filled: Filled) -> None:
    left = [number for number in range(1, MANY) if number % 2]
    by_batch = sorted(left, key=lambda number: (number * 7 % 10, number))
    orders = {VersionFile: list(range(MANY)), CollectedFile: by_batch, GovernedFile: left}
    with filled.house.runtime.database.reading() as db:
        for table, order in orders.items():
            assert [one.position for one in _whole(db, filled.lists[table])] == order


def test_a_page_is_read_by_the_key_and_begins_behind_a_row_of_the_list_only(filled: Filled) -> None:
    database = filled.house.runtime.database
    for table, read in filled.lists.items():
        name = str(table.__tablename__)
        key = f"sqlite_autoindex_{name}_1" if database.engine.dialect.name == "sqlite" else f"pk_{name}"
        with database.reading() as db:
            cursor = read(db, limit=20).next
        assert walks(database, partial(read, limit=20)) == [key]
        assert walks(database, partial(read, cursor=cursor, limit=20))[-1] == f"{key} behind"
        for elsewhere in ("x", "1:x", "1:1:1", "99999999999", "9999:9999"):
            with database.reading() as db, pytest.raises(NotOnThisList):
                read(db, cursor=elsewhere, limit=20)
