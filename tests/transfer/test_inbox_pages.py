"""The inbox: a page of a party's notices is read over its own, an auditor's over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import col, insert, select

from marketplace.plumbing.paging import NotOnThisList
from marketplace.transfer import queries
from marketplace.transfer.models import StopNotice, StopNoticeReader
from tests.house import START, House, open_house
from tests.plans import plans, walks

MANY = 3000
READERS = ("hospital", "pharma", "ai_company")


@pytest.fixture
def told(tmp_path: Path, either_url: str) -> Iterator[House]:
    """Thousands of notices, each to two of three parties by turns."""
    with open_house(tmp_path / "house", either_url) as house:
        same = {"reason": "x", "stopped_by": "x", "stopped_at": START, "document": "x", "made_at": START}
        notices = [StopNotice(id=f"ntc_{number:05d}", stop_entry=f"{number}", **same) for number in range(MANY)]
        parties = [house.cast[name].id for name in READERS]
        readers = [
            {"notice_id": one.id, "party": parties[(number + side) % 3], "acknowledged_at": None}
            for number, one in enumerate(notices)
            for side in (0, 1)
        ]
        with house.arrange() as db:
            db.connection().execute(insert(StopNotice), [one.model_dump() for one in notices])
            db.connection().execute(insert(StopNoticeReader), readers)
            db.connection().execute(text("ANALYZE"))
        yield house


def _whole(house: House, who: str) -> list[str]:
    found, cursor = list[str](), None
    with house.runtime.database.reading() as db:
        while True:
            page = queries.notices(db, house.cast[who].actor, cursor=cursor, limit=300)
            found += [one.id for one in page.rows]
            if (cursor := page.next) is None:
                return found


@pytest.mark.parametrize("who", READERS)
def test_an_inbox_is_whole_and_the_latest_come_first(told: House, who: str) -> None:
    with told.runtime.database.reading() as db:
        mine = select(StopNoticeReader.notice_id).where(StopNoticeReader.party == told.cast[who].id)
        rows = db.exec(mine.order_by(col(StopNoticeReader.notice_id).desc())).all()
    assert _whole(told, who) == rows
    assert len(rows) == 2 * MANY // 3


def test_auditors_read_every_notice_and_who_is_told_nothing_none(told: House) -> None:
    assert _whole(told, "auditor") == [f"ntc_{number:05d}" for number in reversed(range(MANY))]
    assert _whole(told, "registrar") == []


def test_a_page_is_read_by_the_index_of_the_party_and_each_notice_by_its_key(told: House) -> None:
    database = told.runtime.database
    sqlite = database.engine.dialect.name == "sqlite"
    key = "sqlite_autoindex_stop_notice_1" if sqlite else "pk_stop_notice"
    own = partial(queries.notices, actor=told.cast["hospital"].actor, limit=20)
    with database.reading() as db:
        following = partial(own, cursor=own(db).next)
    assert walks(database, own)[0] == "ix_stop_notice_reader_party_notice"
    assert walks(database, following)[-2] == "ix_stop_notice_reader_party_notice behind"
    assert key in plans(database, own)[1]
    assert walks(database, partial(queries.notices, actor=told.cast["auditor"].actor, limit=20)) == [key]


def test_a_page_begins_behind_no_notice_to_another(told: House) -> None:
    anothers = set(_whole(told, "auditor")) - set(_whole(told, "hospital"))
    with told.runtime.database.reading() as db, pytest.raises(NotOnThisList):
        queries.notices(db, told.cast["hospital"].actor, cursor=min(anothers))
