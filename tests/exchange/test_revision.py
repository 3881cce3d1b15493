"""An answer of the catalogue is unchanged only while nothing has changed that decides it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, event, text, update
from sqlmodel import Session, col, select

from marketplace.assets.models import Asset, Version
from marketplace.exchange import queries, revision, service
from marketplace.exchange.catalogue import Wanted
from marketplace.exchange.dcat.facts import gather
from marketplace.exchange.models import CatalogueRevision, Exclusivity, Listing
from marketplace.legal.models import Opinion, OpinionCondition
from marketplace.main import create_app
from marketplace.participants.models import Participant
from marketplace.registration.models import Certificate, Right
from tests.benchmarks.listings import fill
from tests.exchange.parts import WHY, certified, found, listed, suspend_certificate, terms_of
from tests.house import House, open_house
from tests.registration.test_routes import Gate

CATALOGUE = "/v1/catalogue"


def client(house: House) -> TestClient:
    app = create_app(house.runtime)
    app.state.gate = Gate(house)
    return TestClient(app)


class Reader:
    """Who asks again and again for the same and names the ETag of the last answer."""

    def __init__(self, house: House, address: str = CATALOGUE, **headers: str) -> None:
        self.http, self.address, self.headers = client(house), address, headers
        self.answer: Any = self.http.get(address, headers=headers)

    def holds(self) -> bool:
        """Whether the answer that is held still stands; the new one is held if it does not."""
        again = self.http.get(self.address, headers=self.headers | {"If-None-Match": self.answer.headers["etag"]})
        if again.status_code == 304:
            assert again.content == b""
            return True
        self.answer = again
        return False

    def listings(self) -> list[str]:
        return [one["listing_id"] for one in self.answer.json()["items"]]


def test_whatever_takes_a_listing_away_changes_the_answer(house: House) -> None:
    version = certified(house)
    first, second = listed(house, version).id, listed(house, version, term_days=20).id
    everybody, insurer = Reader(house), Reader(house, "/v1/participants/me/catalogue", **{"x-party": "pharma"})
    one = Reader(house, f"{CATALOGUE}/{first}")
    for reader in (everybody, insurer, one):
        assert reader.holds()
    with house.db() as db:
        service.suspend(db, house.cast["hospital"].actor, queries.listing(db, second), WHY, house.clock.now())
    assert not everybody.holds()
    assert not insurer.holds()
    assert everybody.listings() == insurer.listings() == [first]
    assert not one.holds(), "what it says is the same, but that is not known before it is read"
    with house.db() as db:
        service.withdraw(db, house.cast["hospital"].actor, queries.listing(db, second), WHY, house.clock.now())
    suspend_certificate(house, version.id)
    assert not everybody.holds()
    assert everybody.listings() == []
    assert not one.holds()
    assert one.answer.status_code == 404


def _in_an_hour(house: House, db: Session, column: Any, at: datetime) -> None:
    if column.class_ is OpinionCondition:
        opinion, owner = db.exec(select(Opinion.id)).one(), house.cast["hospital"].id
        db.add(OpinionCondition(id="con_1", opinion_id=opinion, item=19, condition="file", owner=owner, due_at=at))
    elif column.class_ is Exclusivity:
        asset, buyer = db.exec(select(Asset.id)).one(), house.cast["ai_company"].id
        db.add(Exclusivity(agreement_id="agr_1", asset_id=asset, buyer_id=buyer, ends_at=at))
    else:
        db.exec(update(column.class_).values({column: at}))


@pytest.mark.parametrize("column", revision.MOMENTS, ids=str)
def test_an_answer_ends_at_the_very_moment_at_which_something_begins_or_ends(house: House, column: Any) -> None:
    listing, at = listed(house).id, house.clock.now() + timedelta(hours=1)
    with house.arrange() as db:
        _in_an_hour(house, db, column, at)
    reader = Reader(house)
    before = reader.listings()
    house.clock.advance_to(at - timedelta(microseconds=1))
    assert reader.holds()
    house.clock.advance(timedelta(microseconds=1))
    assert not reader.holds()
    assert {tuple(before), tuple(reader.listings())} == {(listing,), ()}, "it came or it went"


def test_an_answer_belongs_to_who_may_see_it(house: House) -> None:
    version = certified(house, name="示例基因数据集", contains_genomic=True)
    cost = {"kind": "one_off", "price_fen": 100, "regime": "cost_only", "cost_fen": 100}
    science = terms_of("research-use/v1", purposes=["scientific_research"])
    listing = listed(house, version, **science | {"price_plan": cost}).id
    pharma, insurer = (
        Reader(house, "/v1/participants/me/catalogue", **{"x-party": one}) for one in ("pharma", "insurer")
    )
    assert pharma.listings() == insurer.listings() == [listing]
    assert pharma.answer.headers["etag"] != insurer.answer.headers["etag"]
    assert "private" in pharma.answer.headers["cache-control"]
    with house.arrange() as db:
        party = db.get_one(Participant, house.cast["pharma"].id)
        party.foreign_controlled = True
        db.add(party)
    assert not pharma.holds()
    assert pharma.listings() == []


def test_every_table_that_an_answer_is_read_from_is_counted(house: House) -> None:
    listed(house)
    read: set[str] = set()

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        read.update(word for word in statement.replace("(", " ").replace(",", " ").split() if word in tables)

    with house.runtime.database.reading() as db:
        names = db.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
        tables = {row.name for row in names}
        event.listen(house.runtime.database.engine, "before_cursor_execute", note)
        wanted = Wanted(text="CT", asker=db.get_one(Participant, house.cast["pharma"].id))
        gather(db, queries.visible(db, house.clock.now(), wanted).rows)
        event.remove(house.runtime.database.engine, "before_cursor_execute", note)
        made = db.execute(text("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'")).all()
    counted = {(row.tbl_name, row.name.rpartition("_")[2]) for row in made if row.name.startswith("catalogue_counts_")}
    known_by_hash, written_with_their_line = "document", "catalogue_term"
    assert {"listing", "certificate", "opinion", "stage_record", "evidence"} <= read
    for table in read - {known_by_hash, written_with_their_line}:
        assert {verb for named, verb in counted if named == table} == {"insert", "update", "delete"}, table


def test_what_is_held_is_known_from_one_statement_by_its_indexes(house: House) -> None:
    fill(house, 30)
    house.clock.advance(timedelta(minutes=1))
    reader, statements = Reader(house), list[str]()

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(house.runtime.database.engine, "before_cursor_execute", note)
    assert reader.holds()
    event.remove(house.runtime.database.engine, "before_cursor_execute", note)
    assert len([one for one in statements if one.startswith("SELECT")]) == 1
    with house.runtime.database.reading() as db:
        literal = revision.state(house.clock.now()).compile(db.get_bind(), compile_kwargs={"literal_binds": True})
        plan = [row.detail for row in db.execute(text(f"EXPLAIN QUERY PLAN {literal}"))]
    by_index = [one for one in plan if one.startswith("SEARCH") and "COVERING INDEX" in one]
    assert len(by_index) == len(revision.MOMENTS)


def test_the_database_notes_what_is_committed_however_it_was_written(tmp_path: Path, either_url: str) -> None:
    with open_house(tmp_path / "house", either_url) as house:
        listed(house)

        def noted(change: Callable[[Session], Any]) -> bool:
            before = _number(house)
            with house.arrange() as db:
                change(db)
            return _number(house) != before

        assert not noted(lambda db: db.exec(select(Listing)).all())
        assert noted(lambda db: db.execute(text("UPDATE listing SET note = 'by hand'")))
        assert noted(lambda db: db.execute(update(Version).values(records=col(Version.records))))
        assert not noted(lambda db: (db.execute(text("UPDATE listing SET note = ''")), db.rollback()))
        held = revision_of(house)
        with house.arrange() as db:
            db.execute(update(Certificate).values(state="suspended"))
            db.flush()
            assert revision_of(house) == held, "nobody else sees it before the commit"
        assert revision_of(house) != held
        assert found(house) == []


def test_a_restored_database_gives_no_etag_of_what_was_lost(tmp_path: Path, either_url: str) -> None:
    with open_house(tmp_path / "house", either_url) as house:
        listed(house)
        backed_up, held = _number(house), set[str]()
        for name in ("lost with the disk", "written after the restoration"):
            with house.arrange() as db:
                db.execute(update(CatalogueRevision).values(number=backed_up))
            with house.arrange() as db:
                db.execute(update(Asset).values(name=name))
            held.add(revision_of(house))
        assert len(held) == 2


def _number(house: House) -> int:
    with house.runtime.database.reading() as db:
        return db.exec(select(CatalogueRevision.number)).one()


def revision_of(house: House) -> str:
    with house.runtime.database.reading() as db:
        return revision.etag(db, house.clock.now(), "page")


def test_any_answer_is_held_only_where_there_is_one(house: House) -> None:
    listing, http = listed(house).id, client(house)
    for address, status in (
        (f"{CATALOGUE}/{listing}", 304),
        (f"{CATALOGUE}?limit=1000", 304),
        (f"{CATALOGUE}/no", 404),
    ):
        assert http.get(address, headers={"If-None-Match": "*"}).status_code == status
    assert http.get(CATALOGUE, params={"cursor": "AA"}, headers={"If-None-Match": "*"}).status_code == 422


def test_a_right_that_ends_and_starts_is_no_old_answer_again(house: House) -> None:
    listed(house)
    reader = Reader(house)
    with house.arrange() as db:
        for right in db.exec(select(Right)):
            right.ends_at = house.clock.now()
            db.add(right)
    assert not reader.holds()
    with house.arrange() as db:
        for right in db.exec(select(Right)):
            right.ends_at = None
            db.add(right)
    assert not reader.holds()
