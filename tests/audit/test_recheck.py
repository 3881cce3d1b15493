"""Rows that the service did not write, or that were changed behind its back, do not fit the log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session, text

from marketplace.assets.models import Asset, Version
from marketplace.audit import documents, seals
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.audit.persons import erase_person, introduce
from marketplace.audit.recheck import RowFinding, odd_rows, told
from marketplace.audit.recheck import documents as check_documents
from marketplace.audit.recheck_persons import persons
from marketplace.commands import recheck as rooms
from marketplace.commands.recheck import recheck
from marketplace.costing.models import MeterEvent
from marketplace.governance.models import AssetSecret
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.participants.models import Participant
from marketplace.plumbing import epochs, outbox
from marketplace.plumbing.bulk import insert_all
from marketplace.registration.models import CertificateSerial, RegistrarSeat
from marketplace.settlement.models import Payable, Share
from tests.house import House
from tests.usage.agreed import row

ADDED_TO_SHARES = {"reference", "paid_at", "returned_as"}
"""Columns of migration 0043; a log of before has seals without them."""


def write(house: House, work: Callable[[Session], object]) -> None:
    """A recorded change, in a transaction of its own."""
    with house.db() as db:
        record(db, house.cast["operator"].actor, Tag.ASSET_REGISTERED, house.clock.now())
        work(db)


def asset(db: Session, house: House, name: str) -> Asset:
    made: Asset = row(db, Asset, now=house.clock.now(), id=name, provider_id="prt_hospital", name="CT", name_en="CT")
    return made


def findings(house: House) -> list[RowFinding]:
    with house.runtime.database.reading() as db:
        return [one for one in recheck(db) if one.table in {"asset", "document", "epoch"}]


def seals_of(house: House) -> list[Json]:
    with house.runtime.database.reading() as db:
        return [one for _, facts in told(db, Tag.ROWS_SEALED) for one in facts["rows"]]


def test_a_change_and_the_seal_of_its_row_commit_together(house: House) -> None:
    write(house, lambda db: asset(db, house, "ast_1"))
    with house.runtime.database.reading() as db:
        stored = db.get_one(Asset, "ast_1")
        expected = {"table": "asset", "key": "ast_1", "sha256": seals.seal(stored)}
    assert expected in seals_of(house)
    assert findings(house) == []


def test_a_unit_of_a_group_seals_its_rows(house: House) -> None:
    def work(db: Session) -> None:
        record(db, house.cast["operator"].actor, Tag.ASSET_REGISTERED, house.clock.now())
        asset(db, house, "ast_1")

    house.runtime.database.grouped(work)
    assert [one["key"] for one in seals_of(house) if one["table"] == "asset"] == ["ast_1"]
    assert findings(house) == []


def test_a_row_of_a_savepoint_that_was_rolled_back_is_not_sealed(house: House) -> None:
    def work(db: Session) -> None:
        asset(db, house, "ast_1")
        nested = db.begin_nested()
        asset(db, house, "ast_2")
        nested.rollback()

    write(house, work)
    assert [one["key"] for one in seals_of(house) if one["table"] == "asset"] == ["ast_1"]
    assert findings(house) == []


def test_a_share_that_was_sealed_before_it_knew_its_transfer_keeps_its_seal_until_it_knows_one() -> None:
    paid = Share(
        line_id="inl_1",
        role="hospital",
        issuer_id="prt_exchange",
        provider_id="prt_hospital",
        asset_id="ast_1",
        owner="prt_hospital",
        amount_fen=100,
    )
    before = {name: value for name, value in paid.model_dump().items() if name not in ADDED_TO_SHARES}
    text = json.dumps(before, sort_keys=True, separators=(",", ":"))
    assert seals.seal(paid) == hashlib.sha256(text.encode()).hexdigest()
    for change in ({"reference": "pay_1-00001"}, {"paid_at": datetime(2026, 9, 1, tzinfo=UTC)}, {"returned_as": "x"}):
        assert seals.seal(Share(**paid.model_dump() | change)) != seals.seal(paid)


def test_what_was_owed_before_it_had_parts_keeps_its_seal_and_its_name() -> None:
    owed = Payable(
        meter_event="mtr_1",
        transaction_id="ltx_1",
        kind="legal.opinion",
        asset_id="ast_1",
        payer_id="prt_hospital",
        payee_id="prt_law_firm",
        amount_fen=100,
        at=datetime(2026, 9, 1, tzinfo=UTC),
    )
    before = {name: value for name, value in owed.model_dump().items() if name != "part"}
    text = json.dumps(before | {"at": owed.at.isoformat()}, sort_keys=True, separators=(",", ":"))
    assert (seals.name_of(owed), seals.seal(owed)) == (("payable", "mtr_1"), hashlib.sha256(text.encode()).hexdigest())
    tenth = Payable(**owed.model_dump() | {"part": 10})
    assert seals.name_of(tenth) == ("payable", "mtr_1/10")
    assert seals.seal(tenth) != seals.seal(owed)


def test_rows_inserted_past_the_unit_of_work_are_sealed_as_they_are_read_back(house: House) -> None:
    def work(db: Session) -> None:
        made = asset(db, house, "ast_1").model_dump()
        more = [made | {"id": name} for name in ("ast_2", "ast_3")]
        insert_all(db.connection(), Asset, more)
        seals.note_inserted(db, Asset, more)
        with pytest.raises(RuntimeError), db.begin_nested():
            seals.note_inserted(db, Asset, more)

    write(house, work)
    assert [one["key"] for one in seals_of(house) if one["table"] == "asset"] == ["ast_1", "ast_2", "ast_3"]
    assert findings(house) == []
    change(house, "UPDATE asset SET overview = 'another' WHERE id = 'ast_3'")
    assert [(one.key, one.kind) for one in findings(house)] == [("ast_3", "edited")]


def test_rows_inserted_past_the_unit_of_work_and_taken_back_are_not_sealed(house: House) -> None:
    with house.runtime.database.session(write=True) as db:
        record(db, house.cast["operator"].actor, Tag.ASSET_REGISTERED, house.clock.now())
        made = asset(db, house, "ast_1").model_dump() | {"id": "ast_2"}
        insert_all(db.connection(), Asset, [made])
        seals.note_inserted(db, Asset, [made])
        db.rollback()
        record(db, house.cast["operator"].actor, Tag.ASSET_REGISTERED, house.clock.now())
        asset(db, house, "ast_3")
        db.commit()
    assert [one["key"] for one in seals_of(house) if one["table"] == "asset"] == ["ast_3"]
    assert findings(house) == []


def test_a_deleted_row_has_an_empty_seal(house: House) -> None:
    write(house, lambda db: asset(db, house, "ast_1"))
    write(house, lambda db: db.delete(db.get_one(Asset, "ast_1")))
    assert [one["sha256"] for one in seals_of(house) if one["table"] == "asset"][-1] is None
    assert findings(house) == []


def test_an_epoch_is_sealed_with_the_bump(house: House) -> None:
    write(house, lambda db: epochs.bump(db, "agr_1", "agreement_terminated"))
    assert findings(house) == []
    change(house, "UPDATE epoch SET number = 0 WHERE subject = 'agr_1'")
    assert [(one.table, one.key, one.kind) for one in findings(house)] == [("epoch", "agr_1", "edited")]


def change(house: House, statement: str) -> None:
    with house.runtime.database.engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE asset SET overview = 'another' WHERE id = 'ast_1'", "edited"),
        ("UPDATE asset SET registered_at = 'no moment' WHERE id = 'ast_1'", "edited"),
        ("UPDATE asset SET overview = CAST(x'ff41' AS TEXT) WHERE id = 'ast_1'", "edited"),
        ("DELETE FROM asset WHERE id = 'ast_1'", "deleted"),
    ],
)
def test_a_row_changed_behind_the_services_back_is_named(house: House, statement: str, kind: str) -> None:
    write(house, lambda db: asset(db, house, "ast_1"))
    change(house, statement)
    assert {(one.table, one.key, one.kind) for one in findings(house)} == {("asset", "ast_1", kind)}


def test_a_row_that_nobody_recorded_is_named(house: House) -> None:
    write(house, lambda db: asset(db, house, "ast_1"))
    change(house, "CREATE TABLE copy AS SELECT * FROM asset")
    change(house, "UPDATE copy SET id = 'ast_2'")
    change(house, "INSERT INTO asset SELECT * FROM copy")
    assert [(one.key, one.kind) for one in findings(house)] == [("ast_2", "inserted")]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("document", "body", "'abc'"),
        ("document", "body", "5"),
        ("document", "readers", "'{broken'"),
        ("document", "readers", "'{}'"),
        ("participant", "roles", "7"),
        ("participant", "suspended_at", "'2026-02-31 00:00:00.000000'"),
        ("outbox", "args", "x'00'"),
        ("version", "files", "0.5"),
        ("meter_event", "quantity", "'many'"),
    ],
)
def test_an_odd_value_is_named_and_hides_nothing_else(house: House, table: str, column: str, value: str) -> None:
    def work(db: Session) -> None:
        now = house.clock.now()
        asset(db, house, "ast_1")
        documents.keep(db, "opinion", {"outcome": "PASS"}, now)
        row(db, Version, now=now, id="ver_1", asset_id="ast_1")
        outbox.enqueue(db, "none", {}, key="1", now=now)
        row(db, MeterEvent, now=now, id="mev_1")

    write(house, work)
    change(house, "UPDATE asset SET overview = 'another'")
    change(house, f"UPDATE {table} SET {column} = {value}")
    with house.runtime.database.reading() as db:
        found = list(recheck(db))
    assert (table, f"`{column}` holds what the column cannot hold") in {(one.table, one.detail) for one in found}
    assert ("asset", "the row is not the one that was sealed") in {(one.table, one.detail) for one in found}


def test_the_last_microsecond_of_a_month_is_a_moment_like_any_other(house: House) -> None:
    house.clock.advance_to(datetime(2026, 9, 30, 15, 59, 59, 999999, tzinfo=UTC))
    write(house, lambda db: asset(db, house, "ast_1"))
    with house.runtime.database.reading() as db:
        assert [one for one in odd_rows(db) if one.table == "asset"] == []


def test_a_room_that_breaks_is_named_and_stops_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_db: Session) -> Iterator[RowFinding]:
        yield RowFinding("table", "key", "edited", "what was found before")
        raise AttributeError("an odd value")

    monkeypatch.setattr(rooms, "ROOMS", (broken, *rooms.ROOMS))
    write(house, lambda db: asset(db, house, "ast_1"))
    change(house, "UPDATE asset SET overview = 'another'")
    with house.runtime.database.reading() as db:
        found = [(one.table, one.kind) for one in recheck(db)]
    assert [one for one in found if one[0] in {"table", "broken", "asset"} or one[1] == "unchecked"] == [
        ("table", "edited"),
        ("audit", "unchecked"),
        ("asset", "edited"),
    ]


def test_a_document_with_other_bytes_and_its_signatures_are_named(house: House) -> None:
    write(house, lambda db: documents.keep(db, "opinion", {"outcome": "PASS"}, house.clock.now()))
    change(house, "UPDATE document SET body = CAST('{}' AS BLOB)")
    with house.runtime.database.reading() as db:
        assert [(one.table, one.kind) for one in check_documents(db)] == [("document", "edited")]


def test_a_seal_is_the_same_for_the_row_in_memory_and_the_row_read_back(house: House) -> None:
    with house.db() as db:
        record(db, house.cast["operator"].actor, Tag.ASSET_REGISTERED, house.clock.now())
        stored = db.get_one(Participant, "prt_hospital")
        stored.suspended_at = house.clock.now() + timedelta(microseconds=7)
        before = seals.seal(stored)
    with house.runtime.database.reading() as db:
        assert seals.seal(db.get_one(Participant, "prt_hospital")) == before


def test_an_entry_that_cannot_be_read_is_left_to_the_check_of_the_log(house: House) -> None:
    write(house, lambda db: asset(db, house, "ast_1"))
    change(house, "UPDATE entry SET body = CAST('not json' AS BLOB) WHERE tag = 'asset:registered'")
    with house.runtime.database.reading() as db:
        assert list(told(db, Tag.ASSET_REGISTERED)) == []
        assert db.get(Entry, "none") is None


def person(house: House) -> str:
    """Somebody of the hospital acts, and again two days later."""
    actor = replace(house.cast["hospital"].actor, person="Li")
    with house.db() as db:
        made = introduce(db, actor, house.clock.now())
    house.clock.advance(timedelta(days=2))
    with house.db() as db:
        record(db, actor, Tag.ASSET_REGISTERED, house.clock.now())
    return made


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE person SET identifier = 'Wang'", "edited"),
        ("UPDATE person SET salt = randomblob(32)", "edited"),
        ("UPDATE person SET participant = 'prt_pharma'", "edited"),
        ("UPDATE person SET identifier = NULL, salt = NULL, erased_at = named_at", "edited"),
        ("UPDATE person SET acted_at = named_at", "edited"),
        ("DELETE FROM person", "deleted"),
    ],
)
def test_a_person_changed_behind_the_services_back_is_named(house: House, statement: str, kind: str) -> None:
    made = person(house)
    with house.runtime.database.reading() as db:
        assert list(persons(db)) == []
    change(house, statement)
    with house.runtime.database.reading() as db:
        assert [(one.table, one.key, one.kind) for one in persons(db)] == [("person", made, kind)]


def test_an_erased_person_fits_until_the_tie_is_put_back(house: House) -> None:
    made = person(house)
    with house.db() as db:
        erase_person(db, house.cast["hospital"].actor, made, house.clock.now() + timedelta(days=9), retention_days=1)
    with house.runtime.database.reading() as db:
        assert list(persons(db)) == []
    change(house, "UPDATE person SET identifier = 'Li', erased_at = NULL")
    with house.runtime.database.reading() as db:
        assert [(one.key, one.detail) for one in persons(db)] == [
            (made, "the person was erased, and the row does not say so")
        ]


def test_seats_secrets_and_counters_of_codes_fit_the_log(house: House) -> None:
    def work(db: Session) -> None:
        row(db, AssetSecret, now=house.clock.now(), asset_id="ast_1", secret=b"s" * 32)
        row(db, RegistrarSeat, now=house.clock.now(), participant_id="prt_registrar", region="11", digit=1)
        db.add(CertificateSerial(prefix="SJ111202609", last=2))
        for code in ("SJ1112026090001", "SJ1112026090002"):
            record(db, SERVICE_ACTOR, Tag.CERTIFICATE_PREPARED, house.clock.now(), facts={"code": code})

    def named() -> list[tuple[str, str]]:
        tables = {"asset_secret", "registrar_seat", "certificate_serial"}
        with house.runtime.database.reading() as db:
            return [(one.table, one.kind) for one in recheck(db) if one.table in tables]

    write(house, lambda db: asset(db, house, "ast_1"))
    write(house, work)
    assert named() == []
    change(house, "UPDATE certificate_serial SET last = 1")
    change(house, "UPDATE asset_secret SET secret = x'00'")
    change(house, "UPDATE registrar_seat SET digit = 2")
    assert named() == [("asset_secret", "edited"), ("registrar_seat", "edited"), ("certificate_serial", "edited")]
