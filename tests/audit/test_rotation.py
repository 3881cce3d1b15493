"""New keys of log and witness: followed from the old one, which counts no further than to its end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlmodel import text

from marketplace.audit import handover
from marketplace.audit.client import LogKeys
from marketplace.audit.entry import Tag, record
from marketplace.audit.fsck import fsck
from marketplace.audit.guard import check_not_behind
from marketplace.audit.heldstate import read_key
from marketplace.audit.note import SIGNATURE, NoteKey, parse_note
from marketplace.audit.queries import latest_checkpoint
from marketplace.audit.statements import (
    BadStatement,
    HeadStated,
    Rotation,
    StatementFile,
    next_origin,
)
from marketplace.audit.succession import NotTheKey, accept_rotation, keep, known_keys
from marketplace.audit.verifier.files import verify
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import DomainError
from tests.audit.stopped import ORIGIN, opened
from tests.audit.world import AUDITOR, NOW, OPERATOR, Log, open_log


@pytest.mark.parametrize("role", ["log", "witness"])
def test_a_replaced_key_is_followed_from_the_old_one_and_refused_beyond_its_end(tmp_path: Path, role: str) -> None:
    folder = tmp_path / "log"
    with open_log(folder) as log:
        log.write(10)
        log.round()
        old = log.processes.client.keys
    name = "log-signer" if role == "log" else "witness"
    retired = read_key(folder / name / "key.pem")
    file, path = handover.rotate(folder / name, "planned", NOW)
    assert StatementFile.read(path) == file
    with log.database.transaction() as db:
        assert accept_rotation(db, file, ORIGIN, NOW) is not None
    with log.database.transaction() as db:
        assert accept_rotation(db, file, ORIGIN, NOW) is None
    with opened(folder) as log:
        check_not_behind(log.database, log.processes.client)
        log.write(5)
        size = log.round()
        with log.database.reading() as db:
            keys = known_keys(db, log.settings)
            assert fsck(db, keys=keys).sound
            latest = latest_checkpoint(db)
            assert latest is not None
        bundle, now = log.bundle(AUDITOR), log.processes.client.keys
    assert str(getattr(now, role)) != str(getattr(old, role))
    report = verify("b", json.dumps(bundle).encode(), str(old.log), str(old.witness))
    assert report.exit_code == 0, report.plain()
    assert verify("b", json.dumps(bundle).encode(), str(now.log), str(now.witness)).exit_code == 0
    assert verify("b", json.dumps(bundle | {"statements": []}).encode(), str(old.log), str(old.witness)).exit_code == 1

    # The old key was stolen and signs what came after its end.
    checkpoint = forge(latest.note, role, old, now, retired)
    report = verify("b", json.dumps(bundle | {"checkpoint": checkpoint}).encode(), str(old.log), str(old.witness))
    assert f"a key that was replaced at 10 entries signed a tree of {size}" in report.plain()


def forge(note: str, role: str, old: LogKeys, now: LogKeys, retired: Ed25519PrivateKey) -> str:
    """The checkpoint with the line of one role made by its retired key."""
    line = NoteKey(*_of(old, role), retired).sign(parse_note(note).text, None if role == "log" else 1_800_000_000)
    kept = [one for one in note.splitlines(keepends=True) if f"— {_of(now, role)[0]} " not in one]
    return "".join(kept) + line


def _of(keys: object, role: str) -> tuple[str, int]:
    key = getattr(keys, role)
    return key.name, key.kind


def test_a_statement_that_no_key_of_today_leads_to_makes_no_key_trusted(log: Log) -> None:
    """Whoever holds the database wrote it: invented keys, or the true ones without their signature."""
    log.write(10)
    log.round()
    real = log.processes.client.keys
    for role, present in (("log", real.log), ("witness", real.witness)):
        invented = NoteKey(present.name, present.kind, Ed25519PrivateKey.generate())
        said = Rotation(
            role=role,
            origin=ORIGIN,
            old=str(invented.verifier),
            new=str(present),
            head=HeadStated(size=1 << 40, root="00" * 32),
            reason="planned",
            at=timestamp(NOW),
        )
        own = invented.sign(said.note_text, None if role == "log" else 1)
        with log.database.transaction() as db:
            keep(db, StatementFile(said.body, note=f"{said.note_text}\n{own}"), NOW)
            record(db, OPERATOR, Tag.KEY_ROTATED, NOW, facts={"role": role, "statement": said.sha256})
    with log.database.reading() as db:
        keys = known_keys(db, log.settings)
        assert keys.former == ()
        found = [one.detail for one in fsck(db, keys=keys).findings]
    assert len(found) == 2
    assert all("does not count: the statement is not signed" in one for one in found)


def test_keys_replaced_again_and_again_are_all_followed_and_a_missing_statement_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    for name in ("log-signer", "witness", "log-signer", "witness"):
        with opened(folder) as log:
            log.write(2)
            log.round()
        with log.database.transaction() as db:
            accept_rotation(db, handover.rotate(folder / name, "planned", NOW)[0], ORIGIN, NOW)
    with opened(folder) as log:
        log.write(2)
        log.round()
        with log.database.transaction() as db:
            keys = known_keys(db, log.settings)
            assert len(keys.former) == 4
            assert fsck(db, keys=keys).sound
            db.connection().execute(text("DELETE FROM log_statement WHERE number = 2"))
            found = fsck(db, keys=known_keys(db, log.settings)).findings
            assert {one.kind for one in found} == {"statement", "checkpoint"}
            db.rollback()


def test_only_the_key_in_use_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with open_log(folder) as log:
        log.write(3)
        log.round()
    with open_log(tmp_path / "other") as other:
        other.write(3)
        other.round()
    stranger, _ = handover.rotate(tmp_path / "other" / "log-signer", "planned", NOW)
    first, _ = handover.rotate(folder / "log-signer", "planned", NOW)
    second, _ = handover.rotate(folder / "log-signer", "compromised", NOW)
    for file, error in ((stranger, DomainError), (second, NotTheKey)):
        with pytest.raises(error), log.database.transaction() as db:
            accept_rotation(db, file, ORIGIN, NOW)
    with log.database.transaction() as db:
        assert accept_rotation(db, first, ORIGIN, NOW)
        assert accept_rotation(db, second, ORIGIN, NOW)
    forged = replace(first, note=f"{first.rotation.note_text}\n{first.note.splitlines()[3]}\n")
    with pytest.raises(BadStatement):
        handover.trust(folder / "witness", forged)


def test_a_witness_elsewhere_follows_the_logs_new_key_when_it_was_told(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with open_log(folder) as log:
        log.write(3)
        log.round()
        old = log.processes.client.keys.log
    file, _ = handover.rotate(folder / "log-signer", "planned", NOW)
    assert handover.follow(folder / "witness", old, ORIGIN) == old
    handover.trust(folder / "witness", file)
    assert str(handover.follow(folder / "witness", old, ORIGIN)) == file.rotation.new
    assert handover.follow(folder / "witness", old, next_origin(ORIGIN)).name == f"{ORIGIN}/r1"


def test_a_crash_in_the_middle_of_a_replacement_is_finished_by_asking_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "log"
    with open_log(folder) as log:
        log.write(3)
        log.round()
        old = log.processes.client.keys.log
    with monkeypatch.context() as patch:
        patch.setattr(handover, "KEY_FILE", "missing/key.pem")
        with pytest.raises(FileNotFoundError):
            handover.rotate(folder / "log-signer", "planned", NOW)
    assert NoteKey(ORIGIN, SIGNATURE, read_key(folder / "log-signer" / "key.pem")).verifier == old
    begun = StatementFile.read(next((folder / "log-signer").glob("rotation-*.json")))
    file, _ = handover.rotate(folder / "log-signer", "planned", NOW)
    assert file == begun
    assert (folder / "log-signer" / "verifier.key").read_text().strip() == file.rotation.new
