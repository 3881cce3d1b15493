"""The checker of the invariants names each violation that is planted, and nothing in an honest store."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness.invariants import Checker
from tests.harness.journal import Answer, Journal, Received
from tests.harness.ordinary import snapshots
from tests.harness.world import Place


@pytest.fixture(scope="module")
def honest(story: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = tmp_path_factory.mktemp("world")
    snapshots(story, world, count=14, seed=1)
    return world / "final"


@pytest.fixture
def store(honest: Path, tmp_path: Path) -> Path:
    return shutil.copytree(honest, tmp_path / "store", ignore=shutil.ignore_patterns("objects"))


def checker(folder: Path) -> Checker:
    return Checker(f"sqlite:///{folder / 'market.sqlite3'}", folder / "log-signer", folder / "witness", window=1 << 14)


def run(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "market.sqlite3", isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints=ON")
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f'DROP TRIGGER "{name}"')
        for statement in statements:
            assert db.execute(statement).rowcount != 0, statement


def named(folder: Path, journal: Journal | None = None, *, settled: bool = True) -> set[str]:
    return {one.split(" ")[0] for one in checker(folder).check(journal, settled=settled)}


def test_an_honest_store_has_no_violation(store: Path) -> None:
    assert checker(store).check(settled=True) == []


USED = "(SELECT agreement_id FROM transfer LIMIT 1)"
PLANTED: dict[str, tuple[str, list[str]]] = {
    "a use outside the term": ("I1", [f"UPDATE agreement SET ends_at = starts_at WHERE id = {USED}"]),
    "a use of an agreement that one side signed": (
        "I1",
        [
            (
                f"DELETE FROM document_signature WHERE document = (SELECT document FROM agreement WHERE id = {USED}) "
                f"AND signer = (SELECT buyer_id FROM agreement WHERE id = {USED})"
            )
        ],
    ),
    "an entry that is lost": ("I3", ["DELETE FROM entry WHERE leaf_index = 50"]),
    "an entry that waits for ever": ("I3", ["UPDATE entry SET leaf_index = NULL WHERE leaf_index = 50"]),
    "a rewritten entry": ("I3", ["UPDATE entry SET body = CAST(body || ' ' AS BLOB) WHERE leaf_index = 50"]),
    "a forged checkpoint": (
        "I4",
        ["UPDATE log_checkpoint SET note = replace(note, char(10) || char(10), 'x' || char(10) || char(10))"],
    ),
    "a posting that is lost": ("I5", ["DELETE FROM posting WHERE id = (SELECT max(id) FROM posting)"]),
    "an amount that was changed": (
        "I5",
        ["UPDATE posting SET amount_minor = amount_minor + 1 WHERE id = (SELECT max(id) FROM posting)"],
    ),
    "a transaction without its entry": ("I5", ["DELETE FROM entry WHERE tag = 'ledger:posted'"]),
    "a quota beyond its limit": ("I6", ["UPDATE usage_quota SET uses_settled = uses_limit + 1"]),
    "a reservation that nobody holds": ("I6", ["UPDATE usage_quota SET uses_reserved = uses_reserved + 1"]),
    "a limit that was not signed": ("I6", ["UPDATE usage_quota SET uses_limit = 99"]),
    "a negotiation that stands elsewhere": ("I7", ["UPDATE access_request SET state = 'OFFERED'"]),
    "a transfer that was opened again": ("I7", ["UPDATE transfer SET state = 'open'"]),
    "work that was given up": ("I10", ["UPDATE outbox SET done_at = NULL, given_up_at = asked_at"]),
    "work that stands still": ("I10", ["UPDATE outbox SET done_at = NULL, due_at = asked_at"]),
    "a use that was not charged": ("I13", ["DELETE FROM meter_event WHERE kind = 'use.transfer'"]),
    "a use charged at another price": (
        "I13",
        ["UPDATE meter_event SET unit_price_fen = unit_price_fen + 1 WHERE kind = 'use.transfer'"],
    ),
    "a charge posted at another price": (
        "I13",
        ["UPDATE ledger_transaction SET unit_price_minor = unit_price_minor + 1 WHERE kind = 'use.transfer'"],
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_violation_is_named(store: Path, what: str) -> None:
    invariant, statements = PLANTED[what]
    run(store, *statements)
    assert invariant in named(store)


def test_a_head_of_another_history_is_named(store: Path) -> None:
    path = store / "witness" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"root": "ab" * 32}))
    assert named(store) == {"I4"}


def test_a_head_beyond_the_log_is_named(store: Path) -> None:
    path = store / "log-signer" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"size": 100_000}))
    assert named(store) == {"I3"}


def test_an_epoch_that_fell_is_named(store: Path) -> None:
    looking = checker(store)
    run(store, "UPDATE epoch SET number = number + 5")
    looking.check()
    run(store, "UPDATE epoch SET number = number - 1")
    assert {one.split(" ")[0] for one in looking.check()} == {"I12"}


def test_a_window_after_the_end_of_its_agreement_is_named(store: Path) -> None:
    with closing(sqlite3.connect(store / "market.sqlite3", isolation_level=None)) as db:
        row = db.execute("SELECT id, body FROM entry WHERE tag = 'transfer:window_served' LIMIT 1").fetchone()
        early = row[0][:-1] + "!"  # sorts before it
        columns = "actor, at, asset, version, agreement, body"
        db.execute(
            f"INSERT INTO entry (id, tag, {columns}) SELECT ?, 'negotiation:agreement_terminated', {columns} "
            "FROM entry WHERE id = ?",
            (early, row[0]),
        )
    assert "I12" in named(store, settled=False)


def kept(store: Path) -> Answer:
    with closing(sqlite3.connect(store / "market.sqlite3")) as db:
        body = db.execute("SELECT body FROM idempotency WHERE CAST(body AS TEXT) LIKE '%agr_%'").fetchone()[0]
    return Answer("prt_x", "POST", "/v1/x", "key-1", 200, base64.b64encode(body).decode(), None)


LATER: dict[str, Callable[[Answer], Answer]] = {
    "I8": lambda one: replace(one, body=base64.b64encode(one.content + b" ").decode()),
    "I9": lambda one: replace(one, key=None, body=base64.b64encode(b'{"id": "agr_' + b"0" * 32 + b'"}').decode()),
}


def test_answers_that_are_kept_are_no_violation(store: Path) -> None:
    one = kept(store)
    assert named(store, Journal([one, one])) == set()


@pytest.mark.parametrize("invariant", LATER)
def test_an_answer_that_is_not_held_to_is_named(store: Path, invariant: str) -> None:
    one = kept(store)
    assert named(store, Journal([one, LATER[invariant](one)])) == {invariant}


def test_a_promised_entry_that_is_another_one_is_named(store: Path) -> None:
    told = base64.urlsafe_b64encode(json.dumps({"entries": [{"id": "ent_x", "leaf": "00"}]}).encode()).decode()
    one = replace(kept(store), receipt=f"e30.{told}.x")
    assert named(store, Journal([one])) == {"I9"}


def test_bytes_that_no_window_covers_are_named(store: Path) -> None:
    with closing(sqlite3.connect(store / "market.sqlite3")) as db:
        transfer, entry, served = db.execute("SELECT id, entry_id, leg_served FROM transfer LIMIT 1").fetchone()
    honest = Received("prt_x", transfer, entry, 0, served, {})
    assert named(store, Journal(streams=[honest])) == set()
    assert named(store, Journal(streams=[replace(honest, bytes=served + 1)])) == {"I2"}
    assert named(store, Journal(streams=[replace(honest, hashes={served: "00"})])) == {"I2"}
    assert named(store, Journal(streams=[replace(honest, entry="ent_unknown")])) == {"I2"}


def test_a_journal_is_the_same_after_it_was_kept(store: Path, tmp_path: Path) -> None:
    journal = Journal([kept(store)], [Received("prt_x", "trf_x", "ent_x", 0, 3, {3: "ab"})], ["note\n"])
    journal.write(tmp_path / "journal.jsonl")
    read = Journal.read(tmp_path / "journal.jsonl")
    assert (read.answers, read.streams, read.checkpoints) == (journal.answers, journal.streams, journal.checkpoints)
