"""Changes made directly in the database are named, row by row; an untouched log has no findings."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlmodel import Session, SQLModel, text
from typer.testing import CliRunner

import marketplace.main  # noqa: F401 - the tables of all rooms
from marketplace.audit.fsck import Report, fsck
from marketplace.audit.guard import check_not_behind
from marketplace.audit.models import Checkpoint, Tile
from marketplace.audit.outside import heads
from marketplace.audit.service import LogForked, number_entries, prove
from marketplace.audit.succession import known_keys
from marketplace.audit.tiles import StoredTree
from marketplace.audit.tree import leaf_hash, root_of_hashes, verify_inclusion
from marketplace.commands.evidence import audit_commands
from tests.audit.world import Log

COUNT = 300


def check(log: Log) -> Report:
    with log.database.reading() as db:
        return fsck(db, keys=log.processes.client.keys)


def at(db: Session, index: int) -> str:
    return str(db.connection().execute(text("SELECT id FROM entry WHERE leaf_index = :i"), {"i": index}).scalar())


def run(db: Session, sql: str, **values: object) -> None:
    db.connection().execute(text(sql), values)


@pytest.fixture
def full(log: Log) -> Log:
    log.write(100)
    log.round()
    log.write(COUNT - 100)
    log.round()
    return log


def test_a_column_with_text_that_is_none_is_named_like_any_other(full: Log) -> None:
    with full.database.transaction() as db:
        name = at(db, 7)
        run(db, "UPDATE entry SET actor = CAST(x'ff41' AS TEXT) WHERE leaf_index = 7")
    assert [(one.kind, one.index, one.entry) for one in check(full).findings] == [("column", 7, name)]


def test_an_untouched_log_is_sound_and_its_root_is_the_cosigned_one(full: Log) -> None:
    full.write(3)
    report = check(full)
    assert report.findings == []
    assert (report.entries, report.size, report.waiting) == (COUNT, COUNT, 3)
    with full.database.reading() as db:
        assert StoredTree(db).root(COUNT).hex() == report.root


def test_every_proof_from_the_tiles_holds(full: Log) -> None:
    with full.database.reading() as db:
        for index in (0, 1, 99, 255, 256, COUNT - 1):
            proof = prove(db, at(db, index))
            assert verify_inclusion(proof.leaf, index, COUNT, proof.path, bytes.fromhex(proof.root))


def edit_body(db: Session, entry: str) -> None:
    run(db, "UPDATE entry SET body = replace(CAST(body AS TEXT), '\"n\":', '\"m\":') WHERE id = :e", e=entry)
    run(db, "UPDATE entry SET body = CAST(body AS BLOB) WHERE id = :e", e=entry)


CHANGES: dict[str, Callable[[Session, str], None]] = {
    "edited": edit_body,
    "column": lambda db, entry: run(db, "UPDATE entry SET actor = 'prt_other' WHERE id = :e", e=entry),
    "deleted": lambda db, entry: run(db, "DELETE FROM entry WHERE id = :e", e=entry),
}


@pytest.mark.parametrize("index", [0, 99, 100, 256, COUNT - 1])
@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_row_is_named(full: Log, kind: str, index: int) -> None:
    with full.database.transaction() as db:
        entry = at(db, index)
        CHANGES[kind](db, entry)
    found = [(one.kind, one.index, one.entry) for one in check(full).findings]
    assert found == [(kind, index, None if kind == "deleted" else entry)]


def test_two_rows_that_changed_places_are_both_named(full: Log) -> None:
    with full.database.transaction() as db:
        first, second = at(db, 7), at(db, 280)
        run(db, "UPDATE entry SET leaf_index = -1 WHERE id = :e", e=first)
        run(db, "UPDATE entry SET leaf_index = 7 WHERE id = :e", e=second)
        run(db, "UPDATE entry SET leaf_index = 280 WHERE id = :e", e=first)
    findings = check(full).findings
    assert {(one.kind, one.index, one.entry) for one in findings} == {
        ("reordered", 7, second),
        ("reordered", 280, first),
    }


@pytest.mark.parametrize("number", [-5, COUNT, COUNT + 7])
def test_a_row_that_was_never_in_the_tree_is_named(full: Log, number: int) -> None:
    with full.database.transaction() as db:
        columns = "tag, actor, at, asset, version, agreement, body"
        run(
            db,
            f"INSERT INTO entry (id, {columns}, leaf_index) SELECT 'ent_forged', {columns}, :n FROM entry "
            "WHERE leaf_index = 3",
            n=number,
        )
    assert [(one.kind, one.entry) for one in check(full).findings] == [("inserted", "ent_forged")]


@pytest.mark.parametrize(("index", "kinds"), [(130, {"forked", "tile"}), (280, {"forked"})])
def test_a_row_rewritten_together_with_its_leaf_hash_is_still_named(full: Log, index: int, kinds: set[str]) -> None:
    with full.database.transaction() as db:
        entry, (tile_index, place) = at(db, index), divmod(index, 256)
        edit_body(db, entry)
        body = db.connection().execute(text("SELECT body FROM entry WHERE id = :e"), {"e": entry}).scalar_one()
        tile = db.get_one(Tile, (0, tile_index))
        tile.hashes = tile.hashes[: place * 32] + leaf_hash(body) + tile.hashes[(place + 1) * 32 :]
        db.add(tile)
    findings = check(full).findings
    assert {one.kind for one in findings} == kinds
    assert next(one for one in findings if one.kind == "forked").index == 100
    if kinds == {"forked"}:
        with pytest.raises(LogForked):
            check_not_behind(full.database, full.processes.client)


@pytest.mark.parametrize("keep", [0, 1, 255, 256, 299])
def test_a_truncated_log_is_named_from_where_it_was_cut(full: Log, keep: int) -> None:
    with full.database.transaction() as db:
        run(db, "DELETE FROM entry WHERE leaf_index >= :k", k=keep)
        run(db, 'DELETE FROM log_tile WHERE level = 0 AND "index" * 256 >= :k', k=keep)
        run(db, "DELETE FROM log_tile WHERE level = 1 AND 256 > :k", k=keep)
        run(db, 'UPDATE log_tile SET hashes = substr(hashes, 1, (:k - "index" * 256) * 32) WHERE level = 0', k=keep)
    truncated = [one for one in check(full).findings if one.kind == "truncated"]
    assert [one.index for one in truncated] == [keep]


def test_a_checkpoint_kept_outside_convicts_a_log_whose_own_were_deleted(full: Log) -> None:
    with full.database.transaction() as db:
        note = str(db.connection().execute(text("SELECT note FROM log_checkpoint WHERE size = 300")).scalar())
        run(db, "DELETE FROM log_checkpoint")
        run(db, "DELETE FROM entry WHERE leaf_index = 299")
        run(db, 'UPDATE log_tile SET hashes = substr(hashes, 1, 43 * 32) WHERE level = 0 AND "index" = 1')
    with full.database.reading() as db:
        assert fsck(db).sound
        report = fsck(db, checkpoint=note, keys=full.processes.client.keys)
    assert [one.kind for one in report.findings] == ["truncated"]


def emptied(db: Session, keep: int) -> None:
    """The log is cut back to some leaves, cleanly, its checkpoints too."""
    run(db, "DELETE FROM entry WHERE leaf_index >= :k", k=keep)
    run(db, 'DELETE FROM log_tile WHERE level > 0 OR "index" * 256 >= :k', k=keep)
    run(db, 'UPDATE log_tile SET hashes = substr(hashes, 1, (:k - "index" * 256) * 32)', k=keep)
    run(db, "DELETE FROM log_checkpoint WHERE size > :k", k=keep)


@pytest.mark.parametrize("keep", [0, 57, 100])
def test_the_heads_of_signer_and_witness_convict_a_log_that_was_cut_off(full: Log, keep: int) -> None:
    SQLModel.metadata.create_all(full.database.engine)
    with full.database.transaction() as db:
        emptied(db, keep)
    folder = full.settings.data_folder
    detail = f"leaves {keep} to 299 were signed and are missing from the tree"
    assert checked(folder) == (1, [f"truncated: entry None at index {keep}: {detail}"])
    elsewhere = {"log_signer_url": "http://127.0.0.1:9", "witness_url": "http://127.0.0.1:9"}
    assert list(heads(full.settings.model_copy(update=elsewhere))) == []
    (folder / "witness" / "state.json").unlink()
    assert "held: entry None at index None: the witness has a key" in checked(folder)[1][0]


def test_a_check_with_nothing_outside_to_compare_with_says_so_and_does_not_pass(full: Log, tmp_path: Path) -> None:
    SQLModel.metadata.create_all(full.database.engine)
    folder, alone = full.settings.data_folder, tmp_path / "alone"
    assert checked(folder) == (0, [])
    (alone / "log-signer").mkdir(parents=True)
    (alone / "witness").mkdir()
    with closing(sqlite3.connect(folder / "market.sqlite3")) as db:
        db.execute("VACUUM INTO ?", (str(alone / "market.sqlite3"),))
    assert checked(alone) == (3, [])
    for name in ("log-signer", "witness"):
        shutil.copy(folder / name / "verifier.key", alone / name)
    answer = CliRunner().invoke(audit_commands, ["fsck", "--data", str(alone)])
    assert answer.exit_code == 3
    assert "neither signer nor witness is at hand" in answer.output
    with full.database.reading() as reading:
        (tmp_path / "kept").write_text(reading.get_one(Checkpoint, 100).note)
    assert checked(alone, "--checkpoint", str(tmp_path / "kept")) == (0, [])


def checked(folder: Path, *more: str) -> tuple[int, list[str]]:
    """What a user sees: exit code and findings."""
    answer = CliRunner().invoke(audit_commands, ["fsck", "--json", "--data", str(folder), *more])
    return answer.exit_code, json.loads(answer.stdout)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("UPDATE log_checkpoint SET note = x'00ff' WHERE size = 100", "checkpoint"),
        ("UPDATE log_checkpoint SET note = 5 WHERE size = 100", "checkpoint"),
        ("UPDATE log_checkpoint SET root = x'00' WHERE size = 100", "checkpoint"),
        ("UPDATE log_checkpoint SET at = 'garbage' WHERE size = 100", "checkpoint"),
        ("UPDATE log_checkpoint SET size = 'many' WHERE size = 100", "checkpoint"),
        ("UPDATE log_tile SET hashes = printf('%032d', 1) WHERE level = 1", "tile"),
        ("UPDATE log_tile SET hashes = 7 WHERE level = 0", "tile"),
        ("UPDATE entry SET at = 'no moment' WHERE leaf_index = 250", "column"),
        ("UPDATE entry SET body = 12 WHERE leaf_index = 250", "edited"),
        ("INSERT INTO log_statement VALUES (1, 'log-recovery', 'none', x'01', 'never')", "statement"),
    ],
)
def test_an_odd_value_is_named_and_hides_nothing_else(full: Log, change: str, kind: str) -> None:
    with full.database.transaction() as db:
        run(db, "UPDATE entry SET actor = 'prt_other' WHERE leaf_index = 7")
    with closing(sqlite3.connect(full.settings.data_folder / "market.sqlite3", isolation_level=None)) as other:
        assert other.execute(change).rowcount
    with full.database.reading() as db:
        found = fsck(db, keys=known_keys(db, full.settings)).findings
    assert ("column", 7) in {(one.kind, one.index) for one in found} or "log_tile" in change
    assert kind in {one.kind for one in found}


def test_a_forged_checkpoint_is_named(full: Log) -> None:
    with full.database.transaction() as db:
        run(db, "UPDATE log_checkpoint SET root = :r WHERE size = 100", r="00" * 32)
        run(db, "UPDATE log_checkpoint SET note = replace(note, '300', '301') WHERE size = 300")
    assert {one.kind for one in check(full).findings} == {"checkpoint"}


def test_ten_thousand_entries_go_into_the_tree_in_one_round(log: Log) -> None:
    log.write(10_000)
    assert log.round() == 10_000
    with log.database.reading() as db:
        bodies = db.connection().execute(text("SELECT body FROM entry ORDER BY leaf_index")).scalars().all()
        assert StoredTree(db).root(10_000) == root_of_hashes([leaf_hash(body) for body in bodies])
        assert [json.loads(body)["id"] for body in bodies] == sorted(json.loads(body)["id"] for body in bodies)


def test_a_round_takes_no_more_than_its_limit_and_an_idle_round_nothing(log: Log) -> None:
    log.write(25)
    assert [number_entries(log.database, limit=10) for _ in range(4)] == [10, 10, 5, 0]
    assert log.round() == 25
    assert log.round() == 25


def test_a_silent_signer_leaves_entries_whole_and_the_next_round_signs_them(log: Log) -> None:
    log.write(5)
    log.processes.children["signer"].kill()
    log.processes.children["signer"].wait()
    with pytest.raises(Exception, match="does not answer"):
        log.round()
    with log.database.reading() as db:
        assert StoredTree(db).size == 5
    log.processes.tend()
    assert log.round() == 5
