"""Entries that a session knows of are those that its transaction keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session, SQLModel, select

import marketplace.migrations.tables  # noqa: F401
from marketplace.audit.entry import Tag, _body, record
from marketplace.audit.models import DocumentSignature, Entry
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import MAX_DEPTH, MAX_INTEGER, AmbiguousDocument, canonical, read_strictly
from marketplace.kernel.clock import timestamp
from marketplace.plumbing.db import Database

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
ACTOR = Actor("org_a", frozenset())
ORPHAN = {"document": "nothing", "signer": "x", "kid": "", "alg": "", "typ": "", "jws": "", "jwk": {}, "signed_at": NOW}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'm.sqlite3'}")
    SQLModel.metadata.create_all(opened.engine)
    yield opened
    opened.dispose()


def write(db: Session, **facts: object) -> str:
    return record(db, ACTOR, Tag.COST_METERED, NOW, facts=facts)


def listed(db: Session) -> list[str]:
    return [entry_id for entry_id, _ in db.info.get("entries", [])]


def test_a_session_lists_its_entries_with_their_leaf_hashes(database: Database) -> None:
    with database.transaction() as db:
        ids = [write(db, n=n) for n in range(3)]
    assert listed(db) == ids
    with database.reading() as read:
        bodies = {row.id: row.body for row in read.exec(select(Entry))}
    assert dict(db.info["entries"]) == {one: hashlib.sha256(b"\x00" + bodies[one]).hexdigest() for one in ids}


def test_entries_of_a_rolled_back_transaction_are_not_listed_later(database: Database) -> None:
    with database.session(write=True) as db:
        write(db, lost=True)
        db.rollback()
        kept = write(db)
        db.commit()
        assert listed(db) == [kept]
        write(db, lost=True)
        db.close()
        assert listed(db) == [kept]


def test_entries_of_a_rolled_back_savepoint_are_not_listed(database: Database) -> None:
    with database.transaction() as db:
        first = write(db)
        with db.begin_nested():
            second = write(db)
        outer = db.begin_nested()
        write(db, lost=True)
        inner = db.begin_nested()
        write(db, lost=True)
        inner.commit()
        outer.rollback()
        last = write(db)
    assert listed(db) == [first, second, last]


def test_entries_whose_commit_fails_are_not_listed(database: Database) -> None:
    with database.session(write=True) as db:
        write(db)
        db.connection().exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        db.connection().execute(insert(DocumentSignature), ORPHAN)
        with pytest.raises(IntegrityError):
            db.commit()
        db.rollback()
        assert listed(db) == []


def test_an_entry_is_there_for_the_next_statement_and_reads_back_as_it_was_written(database: Database) -> None:
    with database.transaction() as db:
        entry = db.get_one(Entry, write(db, n=1))
        body = json.loads(entry.body)
        assert (entry.at, entry.tag, entry.actor, entry.leaf_index) == (NOW, "costing:metered", "org_a", None)
        assert (body["id"], body["at"], body["facts"]) == (entry.id, timestamp(NOW), {"n": 1})


def test_an_error_of_the_database_in_writing_an_entry_is_one_of_sqlalchemy(database: Database) -> None:
    with database.transaction() as db:
        db.connection().exec_driver_sql("ALTER TABLE entry RENAME TO moved")
        with pytest.raises(OperationalError):
            write(db)


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers(-MAX_INTEGER, MAX_INTEGER)
FACTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(FACTS)
def test_canonical_bytes_are_those_of_the_library_of_rfc_8785(document: object) -> None:
    assert canonical(document) == rfc8785.dumps(document)


@given(st.dictionaries(WORDS, FACTS, max_size=4), WORDS, st.none() | WORDS)
def test_the_body_of_an_entry_is_canonical(facts: dict[str, object], word: str, other: str | None) -> None:
    body = _body("ent_1", Tag.USE_ALLOWED, timestamp(NOW), (word, other, None), (other, word, None), facts)
    told = read_strictly(body)
    assert body == rfc8785.dumps(told)
    assert told["facts"] == facts
    assert told["actor"] == {"participant": word, "kid": other, "person": None}
    assert told["subject"] == {"asset": other, "version": word, "agreement": None}
    assert (told["v"], told["tag"], len(told["nonce"])) == (1, "usage:allowed", 32)


def test_facts_may_not_be_nested_deeper_in_an_entry_than_anywhere(database: Database) -> None:
    deep: dict[str, object] = {}
    for _ in range(MAX_DEPTH - 1):
        deep = {"in": deep}
    with database.transaction() as db:
        read_strictly(db.get_one(Entry, write(db, **deep)).body)
        with pytest.raises(AmbiguousDocument):
            write(db, deep=deep)
