"""The two processes that keep a promise outside the database."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from marketplace.audit import heldstate, tree
from marketplace.audit.client import LogRefused
from marketplace.audit.guard import check_not_behind
from marketplace.audit.heldstate import Head, HeldState, StateRefused
from marketplace.audit.note import COSIGNATURE, SIGNATURE, NoteKey, TreeHead
from marketplace.audit.processes import LogProcesses
from marketplace.audit.service import LogBehind, LogForked, integrate
from marketplace.audit.signer import Refused, Signer, SignRequest
from marketplace.audit.witness import Refused as WitnessRefused
from marketplace.audit.witness import Witness, read_submission
from marketplace.settings import Settings
from tests.audit.world import NOW, Log, open_database, open_log

ORIGIN = "market.example/log"
LEAVES = [tree.leaf_hash(bytes([i])) for i in range(40)]


def head(size: int, leaves: list[bytes] = LEAVES) -> Head:
    return Head(size, tree.root_of_hashes(leaves[:size]))


def request(old: int, new: int, leaves: list[bytes] = LEAVES, origin: str = ORIGIN) -> SignRequest:
    return SignRequest(origin, old, head(new, leaves), tree.consistency_proof(leaves, old, new))


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(HeldState(tmp_path / "signer", ORIGIN))


def submission(signer: Signer, old: int, new: int, leaves: list[bytes] = LEAVES) -> bytes:
    """An add-checkpoint body whose note the signer's key signs, consistent or not: a stolen log key."""
    key: NoteKey = signer._key
    text = TreeHead(ORIGIN, new, head(new, leaves).root).text
    proof = "".join(f"{base64.b64encode(one).decode()}\n" for one in tree.consistency_proof(leaves, old, new))
    return f"old {old}\n{proof}\n{text}\n{key.sign(text)}".encode()


def test_the_signer_signs_growth_and_signs_the_same_head_again(signer: Signer) -> None:
    first = signer.sign(request(0, 5))
    assert signer.sign(request(5, 5)) == first
    assert TreeHead(ORIGIN, 12, head(12).root).text in signer.sign(request(5, 12))


@pytest.mark.parametrize(
    "asked",
    [
        SignRequest(ORIGIN, 5, head(3), []),
        SignRequest(ORIGIN, 0, head(12), []),
        SignRequest(ORIGIN, 5, head(12), []),
        request(5, 12, [tree.leaf_hash(b"other"), *LEAVES[1:]]),
        request(5, 5, [tree.leaf_hash(b"other"), *LEAVES[1:]]),
        request(5, 12, origin="other.example/log"),
    ],
    ids=["rollback", "wrong old size", "no proof", "fork", "same size, other root", "other log"],
)
def test_the_signer_refuses_everything_else(signer: Signer, asked: SignRequest) -> None:
    signer.sign(request(0, 5))
    with pytest.raises(Refused) as refused:
        signer.sign(asked)
    assert refused.value.status == 409
    assert signer._held.head() == head(5)


def test_the_witness_cosigns_growth_and_refuses_a_fork_by_a_stolen_log_key(tmp_path: Path, signer: Signer) -> None:
    held = HeldState(tmp_path / "witness", ORIGIN)
    witness = Witness(held, "market.example/witness", signer._key.verifier)
    witness.cosign(read_submission(submission(signer, 0, 5)))

    other = [tree.leaf_hash(b"other"), *LEAVES[1:]]
    for old, new, leaves, status in ((0, 12, LEAVES, 409), (5, 12, other, 422), (5, 5, other, 409)):
        with pytest.raises(WitnessRefused) as refused:
            witness.cosign(read_submission(submission(signer, old, new, leaves)))
        assert refused.value.status == status
    assert held.head() == head(5)


def test_the_witness_refuses_notes_of_other_keys_and_other_logs(tmp_path: Path, signer: Signer) -> None:
    stranger = Signer(HeldState(tmp_path / "stranger", ORIGIN))
    witness = Witness(HeldState(tmp_path / "witness", ORIGIN), "market.example/witness", signer._key.verifier)
    with pytest.raises(WitnessRefused) as refused:
        witness.cosign(read_submission(submission(stranger, 0, 5)))
    assert refused.value.status == 403
    elsewhere = submission(signer, 0, 5).replace(ORIGIN.encode(), b"other.example/log", 1)
    with pytest.raises(WitnessRefused) as refused:
        witness.cosign(read_submission(elsewhere))
    assert refused.value.status == 404


def test_the_head_is_on_disk_before_anything_is_signed(
    tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldState(tmp_path / "witness", ORIGIN)
    witness = Witness(held, "market.example/witness", signer._key.verifier)
    body = submission(signer, 0, 5)
    signed: list[str] = []
    monkeypatch.setattr(NoteKey, "sign", lambda self, text, at=None: signed.append(text))

    def full_disk(path: Path, content: bytes, mode: int = 0o600) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(heldstate, "write_durably", full_disk)
    for attempt in (lambda: witness.cosign(read_submission(body)), lambda: signer.sign(request(0, 5))):
        with pytest.raises(OSError, match="No space"):
            attempt()
    assert not signed


def test_a_folder_serves_one_process_and_only_its_own_log(tmp_path: Path) -> None:
    held = HeldState(tmp_path, ORIGIN)
    with pytest.raises(StateRefused, match="in use"):
        HeldState(tmp_path, ORIGIN)
    held.close()
    with pytest.raises(StateRefused, match="belongs to"):
        HeldState(tmp_path, "other.example/log")


def test_a_key_is_private_and_stays_the_same(tmp_path: Path) -> None:
    held = HeldState(tmp_path / "folder", ORIGIN)
    key = held.key(ORIGIN, SIGNATURE)
    held.close()
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "folder" / "key.pem").stat().st_mode) == 0o600
    assert HeldState(tmp_path / "folder", ORIGIN).key(ORIGIN, SIGNATURE).verifier == key.verifier


def test_a_lost_or_damaged_head_stops_the_process_for_good(tmp_path: Path) -> None:
    held = HeldState(tmp_path, ORIGIN)
    held.key(ORIGIN, COSIGNATURE)
    held.close()
    (tmp_path / "state.json").write_text('{"size": ')
    with pytest.raises(StateRefused, match="not readable"):
        HeldState(tmp_path, ORIGIN)
    (tmp_path / "state.json").unlink()
    with pytest.raises(StateRefused, match="lost"):
        HeldState(tmp_path, ORIGIN)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b'{"origin":1}', b"\xff", json.dumps({"size": 1e9}).encode(), b"[" * 10_000]
)
def test_an_odd_request_over_http_is_answered_and_changes_nothing(log: Log, body: bytes) -> None:
    client = log.processes.client
    for peer, path in ((client.signer, "/sign"), (client.witness, "/add-checkpoint")):
        with pytest.raises(LogRefused) as refused:
            peer.answer("POST", path, content=body)
        assert refused.value.got == "400"
        assert peer.head().size == 0


def test_of_two_copies_of_a_log_only_one_is_cosigned(log: Log) -> None:
    log.write(300)
    log.round()
    copy = log.settings.data_folder / "copy.sqlite3"
    log.database.dispose()
    shutil.copy(log.settings.data_folder / "market.sqlite3", copy)
    forked = open_database(copy)
    try:
        log.write(5)
        assert log.round() == 305
        twin = Log(log.settings, forked, log.processes)
        twin.write(9)
        with pytest.raises(LogForked):
            integrate(forked, log.processes.client, NOW)
        with pytest.raises(LogForked):
            check_not_behind(forked, log.processes.client)
        check_not_behind(log.database, log.processes.client)
    finally:
        forked.dispose()


def test_a_restored_old_copy_is_not_served(log: Log) -> None:
    log.write(10)
    log.round()
    copy = log.settings.data_folder / "backup.sqlite3"
    log.database.dispose()
    shutil.copy(log.settings.data_folder / "market.sqlite3", copy)
    log.write(10)
    log.round()
    restored = open_database(copy)
    try:
        with pytest.raises(LogBehind):
            check_not_behind(restored, log.processes.client)
        Log(log.settings, restored, log.processes).write(3)
        with pytest.raises(LogBehind):
            integrate(restored, log.processes.client, NOW)
    finally:
        restored.dispose()


def test_killed_children_are_started_again_and_go_on_where_they_were(log: Log) -> None:
    log.write(10)
    log.round()
    for child in log.processes.children.values():
        child.kill()
        child.wait()
    log.write(10)
    log.processes.tend()
    assert log.round() == 20


def test_keys_survive_a_restart_of_the_house(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.write(3)
        log.round()
        keys = log.processes.client.keys
    with open_log(tmp_path) as log:
        assert log.processes.client.keys == keys
        check_not_behind(log.database, log.processes.client)
        log.write(3)
        assert log.round() == 6


def test_a_child_that_is_killed_while_it_starts_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = LogProcesses._start, []

    def start_and_kill(processes: LogProcesses, name: str) -> subprocess.Popen[bytes]:
        child = start(processes, name)
        started.append(name)
        if started.count(name) == 1:
            child.kill()
        return child

    monkeypatch.setattr(LogProcesses, "_start", start_and_kill)
    with LogProcesses(Settings(data_folder=tmp_path)) as log:
        assert log.client.signer.head().size == log.client.witness.head().size == 0
    assert sorted(started) == ["signer", "signer", "witness", "witness"]


def test_children_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from marketplace.settings import Settings\n"
        "from marketplace.audit.processes import LogProcesses\n"
        "with LogProcesses(Settings(data_folder=Path(sys.argv[1]))) as log:\n"
        "    print(*(child.pid for child in log.children.values()), flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.stdout.close()
    parent.kill()
    parent.wait()
    assert len(pids) == 2
    deadline = time.monotonic() + 60
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize("module", ["signer", "witness"])
def test_the_processes_know_no_database_and_no_settings(module: str) -> None:
    script = f"import sys, marketplace.audit.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "sqlmodel", "marketplace.settings", "pydantic_settings", "fastapi"} & set(loaded)
