"""After a restore: nothing goes on until two have signed, then under a new origin, and the verifier tells it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlmodel import select, text

from marketplace.audit import handover
from marketplace.audit.client import public_keys
from marketplace.audit.entry import Tag, record
from marketplace.audit.fsck import fsck
from marketplace.audit.guard import check_not_behind
from marketplace.audit.heldstate import HeldState, StateRefused, held_head
from marketplace.audit.lineage import judged
from marketplace.audit.models import Entry
from marketplace.audit.note import TreeHead
from marketplace.audit.recover import DatabaseMoved, NothingToRecover, NotTheOperator
from marketplace.audit.service import LogBehind, LogForked, integrate, number_entries
from marketplace.audit.statements import (
    BadStatement,
    Recovery,
    StatementFile,
)
from marketplace.audit.succession import known_keys
from marketplace.audit.verifier.files import verify
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import DomainError
from marketplace.kernel.signing import BadSignature, generate_key
from tests.audit.stopped import KEY, ORIGIN, Stopped, opened, restored_copy, signed
from tests.audit.world import AUDITOR, NOW, OPERATOR, Log, open_database, open_log


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Stopped]:
    with restored_copy(tmp_path) as stopped:
        yield stopped


def test_a_recovered_log_goes_on_under_a_new_origin_and_verifies(restored: Stopped) -> None:
    with open_log(restored.settings.data_folder) as log, pytest.raises(LogBehind):
        check_not_behind(log.database, log.processes.client)
    former = str(restored.prepare().log_old)
    file = restored.recover()
    assert [file.recovery.lost, file.recovery.reason] == [range(300, 310), "backup_restored"]
    assert json.loads(next(restored.witness.glob("former-*.json")).read_text())["size"] == 310

    with opened(restored.settings.data_folder) as log:
        check_not_behind(log.database, log.processes.client)
        log.write(5)
        assert log.round() >= 306
        check_not_behind(log.database, log.processes.client)
        with log.database.reading() as db:
            assert "audit:recovered" in db.exec(select(Entry.tag).where(Entry.leaf_index >= 300)).all()
            assert fsck(db, keys=known_keys(db, log.settings)).sound
        bundle = log.bundle(AUDITOR)
        witness = str(log.processes.client.keys.witness)
    report = verify("b", json.dumps(bundle).encode(), former, witness)
    assert report.exit_code == 0, report.plain()
    assert [note for note in report.notes if "leaves 300 to 309 were lost" in note and "both signatures hold" in note]


def recovered_bundle(restored: Stopped) -> Json:
    restored.recover()
    with opened(restored.settings.data_folder) as log:
        log.write(5)
        log.round()
        return log.bundle(AUDITOR)


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("participant:key_registered", "no entry at hand registers its key"),
        ("participant:admitted", "no entry at hand admits prt_operator as platform_operator"),
    ],
)
def test_a_recovery_counts_only_with_a_key_that_the_log_knows_as_an_operators(
    restored: Stopped, tag: str, said: str
) -> None:
    bundle = recovered_bundle(restored)
    bundle["entries"] = [one for one in bundle["entries"] if json.loads(one["body"])["tag"] != tag]
    report = verify("b", json.dumps(bundle).encode())
    assert report.exit_code == 1
    assert said in report.plain()


def test_a_recovery_with_an_invented_key_is_none_whoever_signed_beside(restored: Stopped) -> None:
    bundle, invented = recovered_bundle(restored), generate_key()
    (statement,) = bundle["statements"]
    jws = invented.sign_detached(statement["body"].encode(), typ="log-recovery+jws")
    statement["signatures"] = [{"jws": jws, "jwk": invented.public_jwk}]
    report = verify("b", json.dumps(bundle).encode())
    assert report.exit_code == 1
    assert "no entry at hand registers its key" in report.plain()
    assert not [note for note in report.notes if "both signatures hold" in note]


def test_a_recovery_with_a_key_that_was_revoked_before_is_none(restored: Stopped) -> None:
    with restored.database.transaction() as db:
        facts = {"participant": "prt_operator", "kid": KEY.kid, "reason": "lost"}
        record(db, OPERATOR, Tag.KEY_REVOKED, NOW, facts=facts)
    number_entries(restored.database)
    report = verify("b", json.dumps(recovered_bundle(restored)).encode())
    assert report.exit_code == 1
    assert "had revoked the key" in report.plain()


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ("UPDATE document_signature SET jws = jws || 'A'", "signature"),
        ("UPDATE document_signature SET signer = 'prt_other'", "no operator signed it"),
        ("UPDATE log_statement SET note = replace(note, '— marketplace.example/witness ', '— x ')", "not signed"),
        ("DELETE FROM entry WHERE tag = 'audit:recovered'", "no entry audit:recovered"),
        ("DELETE FROM entry WHERE tag = 'participant:key_registered'", "no operator signed it"),
    ],
)
def test_a_recovery_that_lost_a_signature_or_its_entry_does_not_count(
    restored: Stopped, change: str, doubt: str
) -> None:
    restored.recover()
    settings = restored.effective()
    with restored.database.transaction() as db:
        assert [one.doubt for one in judged(db, public_keys(settings))] == [""]
        db.connection().execute(text(change))
    with restored.database.reading() as db:
        assert known_keys(db, settings).former == ()
        found = [one.detail for one in fsck(db, keys=known_keys(db, settings)).findings if one.kind == "statement"]
    assert len(found) == 1
    assert doubt in found[0]


def test_of_the_former_log_nothing_is_cosigned_any_more(restored: Stopped) -> None:
    restored.recover()
    held = HeldState(restored.witness, f"{ORIGIN}/r1")
    assert held.head().size == 300
    held.close()
    with pytest.raises(StateRefused, match="belongs to"):
        HeldState(restored.witness, ORIGIN)


def test_a_second_recovery_follows_the_first(restored: Stopped) -> None:
    restored.recover()
    copy = restored.settings.data_folder / "copy.sqlite3"
    restored.database.dispose()
    shutil.copy(restored.settings.data_folder / "market.sqlite3", copy)
    with opened(restored.settings.data_folder) as log:
        log.write(5)
        log.round()
        former = str(log.processes.client.keys.log)
    again = Stopped(restored.settings, open_database(copy))
    try:
        # The entry of the first recovery was not integrated yet when the copy was made.
        assert again.recover().recovery.new_origin == f"{ORIGIN}/r2"
    finally:
        again.database.dispose()
    shutil.copy(copy, restored.settings.data_folder / "market.sqlite3")
    with opened(restored.settings.data_folder) as log:
        assert log.round() >= 302
        bundle, witness = log.bundle(AUDITOR), str(log.processes.client.keys.witness)
    assert verify("b", json.dumps(bundle).encode(), former, witness).exit_code == 0


def test_asking_again_for_the_same_recovery_changes_nothing(restored: Stopped) -> None:
    file = restored.recover()
    again = handover.cosign_recovery(restored.witness, file, NOW)
    assert again.note == file.note
    assert restored.apply(again) is None


CHANGES = {
    "another head": {"cosigned": {"size": 305, "root": "ab" * 32}},
    "no head": {"cosigned": None},
    "another witness": {"witness": str(HeldState)},
    "an origin of one's choice": {"new_origin": f"{ORIGIN}/r7"},
    "another log": {"old_origin": "other.example/log", "new_origin": "other.example/log/r1"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_witness_signs_only_for_its_own_last_checkpoint(restored: Stopped, name: str) -> None:
    content = restored.prepare().model_dump() | CHANGES[name]
    with pytest.raises(BadStatement):
        handover.cosign_recovery(restored.witness, signed(Recovery.model_validate(content)), NOW)
    assert held_head(restored.witness) is not None
    assert not list(restored.witness.glob("former-*"))


def test_one_signature_is_not_enough(restored: Stopped) -> None:
    said = restored.prepare()
    with pytest.raises(BadStatement, match="operator has not signed"):
        handover.cosign_recovery(restored.witness, StatementFile(said.body), NOW)
    with pytest.raises(BadStatement, match="another key"):
        handover.cosign_recovery(restored.witness, signed(said), NOW, operator_kid="somebody else")
    other = replace(signed(said), operator=signed(said.model_copy(update={"reason": "head_lost"})).operator)
    with pytest.raises(BadSignature):
        handover.cosign_recovery(restored.witness, other, NOW)
    for file in (signed(said), replace(signed(said), note=f"{said.note_text}\n— x AAAAAAAA\n")):
        with pytest.raises(BadStatement):
            restored.apply(file)
    assert restored.effective().log_origin == ORIGIN


def test_a_statement_of_another_database_or_person_is_not_applied(restored: Stopped) -> None:
    file = handover.cosign_recovery(restored.witness, signed(restored.prepare()), NOW)
    with pytest.raises(NotTheOperator):
        restored.apply(file, AUDITOR)
    log = Log(restored.settings, restored.database, None)  # type: ignore[arg-type]
    log.write(3)
    number_entries(restored.database)
    with pytest.raises(DatabaseMoved):
        restored.apply(file)


def test_a_sound_log_is_not_recovered(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.write(3)
        log.round()
    stopped = Stopped(log.settings, log.database)
    with pytest.raises(NothingToRecover):
        stopped.prepare()


def test_a_statement_can_never_be_taken_for_a_checkpoint(restored: Stopped) -> None:
    with pytest.raises(DomainError):
        TreeHead.parse(restored.prepare().note_text)


def test_a_statement_file_is_read_strictly(restored: Stopped, tmp_path: Path) -> None:
    file = tmp_path / "statement.json"
    said = signed(restored.prepare())
    said.write(file)
    assert StatementFile.read(file) == said
    for odd in (b"", b"[]", b'{"body":1}', b'{"body":"{}","more":1}', b'{"body":"{}"}', b"\xff", b"x" * 70_000):
        file.write_bytes(odd)
        with pytest.raises(DomainError):
            StatementFile.read(file).statement  # noqa: B018 - reading it is the test


def test_integrating_a_restored_copy_signs_nothing(restored: Stopped) -> None:
    with open_log(restored.settings.data_folder) as log:
        log.write(20)
        with pytest.raises(LogForked):
            integrate(log.database, log.processes.client, NOW)
        assert [log.processes.client.signer.head().size, log.processes.client.witness.head().size] == [310, 310]
