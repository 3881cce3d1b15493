"""What is not served: older heads, rows that are not the tree's, the second of two copies."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from marketplace.audit import tree
from marketplace.audit.client import LogRefused, LogSilent, Peer
from marketplace.audit.guard import HeadRolledBack, check_not_behind
from marketplace.audit.heldstate import Head
from marketplace.audit.service import LogBehind, LogForked
from marketplace.audit.tiles import StoredTree
from marketplace.audit.verifier.files import verify
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import DomainError
from tests.audit.stopped import ORIGIN
from tests.audit.world import AUDITOR, open_database, open_log
from tests.transfer.doors import wait_until


@pytest.mark.parametrize("name", ["log-signer", "witness"])
def test_an_older_head_is_noticed_and_its_loss_as_well(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "log"
    with open_log(folder) as log:
        log.write(10)
        log.round()
        older = (folder / name / "state.json").read_bytes()
        log.write(10)
        log.round()
    (folder / name / "state.json").write_bytes(older)
    with open_log(folder) as log, pytest.raises(HeadRolledBack):
        check_not_behind(log.database, log.processes.client)
    (folder / name / "state.json").unlink()
    with pytest.raises(LogSilent), open_log(folder):
        pass


@pytest.mark.parametrize("damage", ["UPDATE entry SET body = replace(body, 'n', 'm') WHERE leaf_index = 299",
                                    "UPDATE entry SET body = replace(body, 'n', 'm') WHERE leaf_index < 100",
                                    "DELETE FROM entry WHERE leaf_index = 17",
                                    "DELETE FROM log_tile WHERE level = 0 AND \"index\" = 1",
                                    "UPDATE log_checkpoint SET note = replace(note, 'e', 'f')"])  # fmt: skip
def test_rows_that_are_not_those_of_the_tree_are_not_served(tmp_path: Path, damage: str) -> None:
    with open_log(tmp_path) as log:
        log.write(300)
        log.round()
        log.database.dispose()
        with sqlite3.connect(tmp_path / "market.sqlite3") as direct:
            assert direct.execute(damage).rowcount
        direct.close()
        with pytest.raises(DomainError) as refused:
            check_not_behind(log.database, log.processes.client)
        assert isinstance(refused.value, LogBehind | LogForked)


def test_two_whole_copies_with_one_witness_cannot_both_be_cosigned(tmp_path: Path) -> None:
    """Threat T7: two signers with the same key and state; the one that comes second gets 422 or 409."""
    with open_log(tmp_path / "first") as log:
        log.write(20)
        log.round()
        log.database.dispose()
        witness = log.processes.client.witness
        for name in ("log-signer", "market.sqlite3"):
            source = tmp_path / "first" / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, _into(tmp_path / "twin") / name)
        with second_signer(tmp_path / "twin") as peer:
            log.write(5)
            assert log.round() == 25
            leaves = [tree.leaf_hash(bytes([i])) for i in range(30)]
            twin = open_database(tmp_path / "twin" / "market.sqlite3")
            with twin.reading() as db:
                stored = StoredTree(db)
                leaves[:20] = [stored.read(0, index) for index in range(20)]
            twin.dispose()
            head = Head(30, tree.root_of_hashes(leaves))
            asked = {"origin": ORIGIN, "old_size": 20, "size": 30, "root": head.root.hex(),
                     "proof": [one.hex() for one in tree.consistency_proof(leaves, 20, 30)]}  # fmt: skip
            checkpoint = peer.answer("POST", "/sign", json=asked).json()["checkpoint"]
            for old, status in ((20, "409"), (25, "422")):
                lines = "".join(
                    f"{base64.b64encode(one).decode()}\n" for one in tree.consistency_proof(leaves, old, 30)
                )
                with pytest.raises(LogRefused) as refused:
                    witness.answer("POST", "/add-checkpoint", content=f"old {old}\n{lines}\n{checkpoint}".encode())
                assert refused.value.got == status
        assert witness.head().size == 25
        # Threat T11: without the witness's line neither the verifier nor anybody believes the forged checkpoint.
        bundle: Json = log.bundle(AUDITOR) | {"checkpoint": checkpoint}
        keys = log.processes.client.keys
    assert verify("b", json.dumps(bundle).encode(), str(keys.log), str(keys.witness)).exit_code == 1


@contextmanager
def second_signer(folder: Path) -> Iterator[Peer]:
    socket = folder / "s"
    command = [sys.executable, "-m", "marketplace.audit.signer", "--with-parent", "--origin", ORIGIN]
    child = subprocess.Popen(
        [*command, "--folder", str(folder / "log-signer"), "--socket", str(socket)], stdin=subprocess.PIPE
    )
    peer = Peer("signer", "http://signer", socket)
    try:
        wait_until(peer.alive)
        yield peer
    finally:
        peer.close()
        child.kill()
        child.communicate()


def _into(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
