"""Each metered event fits the one entry that tells of it; what does not is named, whichever page of the log tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select, text

from marketplace.audit.entry import Tag, record
from marketplace.audit.recheck import told
from marketplace.costing import recheck as checking
from marketplace.costing.models import MeterEvent
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.plumbing.db import Database
from tests.costing.books import NOW, meter_event, open_books, post_all


@pytest.fixture
def books(tmp_path: Path, either_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(checking, "PAGE", 2)
    with open_books(tmp_path, either_url) as database:
        with database.transaction() as db:
            post_all(db, [meter_event(db, "governance.scan", 10, key=f"g:{place}") for place in range(5)])
        yield database


def findings(books: Database) -> list[tuple[str, str, str]]:
    with books.reading() as db:
        return [(one.table, one.kind, one.detail) for one in checking.recheck(db)]


def change(books: Database, statement: str) -> None:
    with books.transaction() as db:
        db.connection().execute(text(statement))


def test_what_does_not_fit_its_entry_is_named_on_every_page_of_the_log(books: Database) -> None:
    assert findings(books) == []
    change(books, "UPDATE meter_event SET quantity = 9 WHERE event_key = 'g:3'")
    change(books, "UPDATE meter_event SET event_key = 'g:another' WHERE event_key = 'g:4'")
    assert findings(books) == [
        ("meter_event", "edited", "column `quantity` differs"),
        ("meter_event", "deleted", "a metered event is missing"),
        ("meter_event", "inserted", "no entry of the log metered this"),
    ]


def test_a_second_entry_for_the_same_event_is_named_and_the_first_one_counts(books: Database) -> None:
    with books.transaction() as db:
        event = db.exec(select(MeterEvent).where(MeterEvent.event_key == "g:0")).one()
        [facts] = [facts for entry, facts in told(db, Tag.COST_METERED) if entry.id == event.entry_id]
        record(db, SERVICE_ACTOR, Tag.COST_METERED, NOW, asset=event.asset_id, facts=facts)
    assert findings(books) == [("entry", "inserted", "g:0 was metered by another entry")]
