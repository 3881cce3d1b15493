"""The quick comparison of columns with the signed body never lets a changed column pass."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.audit.columns import EntryRow, differing, plainly_fit
from marketplace.audit.entry import Tag, _body
from marketplace.audit.fsck import fsck
from marketplace.kernel.canonical import canonical
from marketplace.kernel.clock import timestamp
from tests.audit.world import Log

AT = datetime(2026, 9, 1, 1, 0, 0, 5, tzinfo=UTC)
WORDS = st.text('ab"\\{},:é', max_size=6) | st.sampled_from(['x","id":"ent_1', '"}', "null", 'a","participant":"b'])
MAYBE = st.none() | WORDS
ROWS = st.tuples(WORDS, MAYBE, MAYBE, MAYBE, MAYBE, st.dictionaries(WORDS, MAYBE, max_size=3))


def row_of(told: tuple[str, str | None, str | None, str | None, str | None, dict[str, str | None]]) -> EntryRow:
    actor, kid, asset, version, agreement, facts = told
    body = _body("ent_1", Tag.USE_ALLOWED, timestamp(AT), (actor, kid, None), (asset, version, agreement), facts)
    return EntryRow("ent_1", "usage:allowed", actor, AT, asset, version, agreement, body, 0)


@given(ROWS)
def test_columns_that_repeat_the_body_fit_plainly_in_either_form_of_the_moment(told: object) -> None:
    row = row_of(told)  # type: ignore[arg-type]
    assert differing(row) == []
    assert plainly_fit(row)
    assert plainly_fit(row._replace(at="2026-09-01 01:00:00.000005"))


@given(ROWS, st.sampled_from(["id", "tag", "actor", "at", "asset", "version", "agreement"]), MAYBE)
def test_a_column_that_differs_never_fits_plainly(told: object, name: str, value: str | None) -> None:
    row = row_of(told)  # type: ignore[arg-type]
    changed = row._replace(**{name: value})
    if getattr(row, name) != value:
        assert not plainly_fit(changed)
        assert differing(changed) == [name]


def test_the_facts_of_an_entry_cannot_stand_for_its_id(log: Log) -> None:
    facts = {"a": 1, "id": "foo"}
    body = _body("ent_1", Tag.USE_ALLOWED, timestamp(AT), ("prt", None, None), (None, None, None), facts)
    row = EntryRow('foo"},"id":"ent_1', "usage:allowed", "prt", AT, None, None, None, body, 0)
    assert canonical(facts) in body
    assert not plainly_fit(row)


@pytest.mark.parametrize(
    ("column", "value", "kinds"),
    [
        ("tag", "usage:refused", {"column"}),
        ("actor", None, {"column"}),
        ("actor", 7, {"column"}),
        ("at", "2026-09-01T01:00:00", {"column"}),
        ("at", 5, {"column"}),
        ("asset", "ast_x", {"column"}),
        ("version", b"\xff", {"column"}),
        ("agreement", "", {"column"}),
        ("body", "text", {"edited"}),
        ("body", 12, {"edited"}),
        ("leaf_index", "three", {"deleted", "inserted"}),
        ("leaf_index", 3.5, {"deleted", "inserted"}),
    ],
)
def test_a_value_of_any_type_in_any_column_is_named(log: Log, column: str, value: object, kinds: set[str]) -> None:
    log.write(8)
    log.round()
    with closing(sqlite3.connect(str(log.database.url.database))) as outside:
        # NOT NULL is the table's; whoever edits the file can take it away as well.
        outside.execute("PRAGMA writable_schema=ON")
        outside.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'entry'")
        outside.commit()
    with closing(sqlite3.connect(str(log.database.url.database))) as outside:
        outside.execute(f"UPDATE entry SET {column} = ? WHERE leaf_index = 3", (value,))
        outside.commit()
    log.database.dispose()
    with log.database.reading() as db:
        findings = fsck(db, keys=log.processes.client.keys).findings
    assert {one.kind for one in findings} == kinds
    assert 3 in {one.index for one in findings}
