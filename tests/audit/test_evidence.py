"""No change of a domain table commits without an entry, whichever way the session made it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlmodel import Session, SQLModel, delete, insert, select, update

from marketplace.audit.entry import Tag, record
from marketplace.audit.evidence import WITHOUT_ENTRY, NoEntry
from marketplace.audit.models import Entry
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.participants.models import Participant, SeenToken
from marketplace.plumbing.epochs import Epoch, bump, open_epoch
from tests.house import START, House


def rename(db: Session) -> None:
    one = db.exec(select(Participant)).first()
    assert one is not None
    one.legal_name = "renamed"


CHANGES: dict[str, Callable[[Session], object]] = {
    "a new row": lambda db: db.add(Epoch(subject="x")),
    "a changed row": rename,
    "a deleted row": lambda db: db.delete(db.get_one(Epoch, "old")),
    "an update statement": lambda db: db.exec(update(Participant).values(legal_name="renamed")),
    "a delete statement": lambda db: db.exec(delete(Epoch)),
    "an insert statement": lambda db: db.exec(insert(Epoch).values(subject="x", number=1, reason="", at_change=1)),
    "an epoch": lambda db: bump(db, "x", "reason"),
}


def entry(db: Session) -> None:
    record(db, SERVICE_ACTOR, Tag.COST_METERED, START)


def commit(house: House, grouped: bool, *steps: Callable[[Session], object]) -> None:
    def work(db: Session) -> None:
        for step in steps:
            step(db)

    if grouped:
        house.runtime.database.grouped(work)
    else:
        with house.db() as db:
            work(db)


def rows(house: House) -> list[str]:
    with house.runtime.database.reading() as db:
        return sorted(str(one.model_dump()) for model in (Participant, Epoch) for one in db.exec(select(model)))


@pytest.fixture
def arranged(house: House) -> House:
    with house.arrange() as db:
        open_epoch(db, "old")
    return house


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("grouped", [False, True])
def test_a_change_without_an_entry_is_refused_and_leaves_nothing(arranged: House, how: str, grouped: bool) -> None:
    before = rows(arranged)
    with pytest.raises(NoEntry, match=r"a transaction changed (participant|epoch) and recorded no entry"):
        commit(arranged, grouped, CHANGES[how])
    assert rows(arranged) == before


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("grouped", [False, True])
def test_the_same_change_with_an_entry_commits(arranged: House, how: str, grouped: bool) -> None:
    before = rows(arranged)
    commit(arranged, grouped, CHANGES[how], entry)
    assert rows(arranged) != before


def test_the_entry_of_one_transaction_does_not_cover_the_next(house: House) -> None:
    with house.runtime.database.session(write=True) as db:
        rename(db)
        entry(db)
        db.commit()
        bump(db, "y", "reason")
        with pytest.raises(NoEntry, match="epoch"):
            db.commit()


def test_the_entry_of_one_unit_does_not_cover_its_neighbour(house: House) -> None:
    house.runtime.database.grouped(entry)
    with pytest.raises(NoEntry, match="epoch"):
        house.runtime.database.grouped(lambda db: bump(db, "x", "reason"))


def test_an_entry_that_was_rolled_back_covers_nothing_and_a_change_that_was_needs_none(house: House) -> None:
    def undo(db: Session, step: Callable[[Session], object]) -> None:
        savepoint = db.begin_nested()
        step(db)
        db.flush()
        savepoint.rollback()

    with pytest.raises(NoEntry):
        commit(house, False, rename, lambda db: undo(db, entry))
    commit(house, False, lambda db: undo(db, rename))


def test_what_changes_nothing_needs_no_entry(house: House) -> None:
    with house.db() as db:
        open_epoch(db, "known")
        entry(db)
    with house.db() as db:
        open_epoch(db, "known")
        db.exec(update(Participant).where(Participant.id == "nobody").values(legal_name="x"))  # type: ignore[arg-type]
        one = db.exec(select(Participant)).first()
        assert one is not None
        one.legal_name = str(one.legal_name)


def test_an_exempt_table_changes_without_an_entry(house: House) -> None:
    with house.runtime.database.reading() as db:
        before = db.exec(select(Entry.id)).all()
    with house.db() as db:
        db.add(SeenToken(id="one", expires_at=START))
    with house.runtime.database.reading() as db:
        assert db.get(SeenToken, "one") is not None
        assert db.exec(select(Entry.id)).all() == before


def test_every_exemption_names_a_table_that_exists_and_says_why() -> None:
    assert WITHOUT_ENTRY.keys() <= SQLModel.metadata.tables.keys()
    assert all(len(reason) > 20 for reason in WITHOUT_ENTRY.values())
