"""The steps that the fault sweep disturbs: the real code that must be durable before it answers, one act each.

A step has a `begin` (make its folder), an `act` (what is disturbed, in a child process; it notes what was acknowledged)
and a `judge` (what is wrong afterwards, in the words of the harness and not of the code).
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlmodel import SQLModel

import marketplace.main  # noqa: F401 - every table, before any child is forked
from marketplace.audit.entry import Tag, record
from marketplace.audit.fsck import fsck
from marketplace.audit.heldstate import Head, HeldState
from marketplace.audit.note import SIGNATURE, NoteKey, TreeHead, parse_note
from marketplace.audit.service import number_entries
from marketplace.audit.signer import Signer, SignRequest
from marketplace.audit.tree import EMPTY_ROOT, consistency_proof, leaf_hash, root_of_hashes
from marketplace.audit.witness import Submission, Witness
from marketplace.commands.backup import check_backup, write_backup
from marketplace.kernel.actor import Actor
from marketplace.plumbing.db import Database
from marketplace.plumbing.storage import FolderStore
from marketplace.settings import Settings
from tests.harness.traced import Marks

NOW = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)
ACTOR = Actor("prt_harness", frozenset())
ORIGIN, WITNESS = "market.example/log", "market.example/witness"
LEAVES = [leaf_hash(bytes([number])) for number in range(200)]


class Step(Protocol):
    """One act that must be all or nothing."""

    name: str

    def begin(self, folder: Path) -> None: ...

    def act(self, folder: Path, marks: Marks) -> None: ...

    def judge(self, folder: Path, told: dict[str, Any]) -> list[str]: ...


class Append:
    """A log append on SQLite: two entries in two transactions, the second by group commit, then leaf numbers."""

    name = "append"

    def begin(self, folder: Path) -> None:
        database = Database(_url(folder))
        SQLModel.metadata.create_all(database.engine)
        with database.transaction() as db:
            for number in range(300):
                record(db, ACTOR, Tag.LOG_EXPORTED, NOW, facts={"n": number})
        number_entries(database)
        database.dispose()

    def act(self, folder: Path, marks: Marks) -> None:
        database = Database(_url(folder))
        with database.transaction() as db:
            first = record(db, ACTOR, Tag.LOG_EXPORTED, NOW, facts={"n": "first"})
        marks.note("first", first)
        marks.note("second", database.grouped(_record_second))
        number_entries(database)
        marks.note("numbered")
        database.dispose()

    def judge(self, folder: Path, told: dict[str, Any]) -> list[str]:
        with closing(sqlite3.connect(folder / "market.sqlite3")) as db:
            sound = db.execute("PRAGMA integrity_check").fetchone()[0]
            rows = db.execute("SELECT id, body, leaf_index FROM entry ORDER BY leaf_index").fetchall()
            tiles = db.execute('SELECT hashes FROM log_tile WHERE level = 0 ORDER BY "index"').fetchall()
        wrong = [] if sound == "ok" else [f"the database is damaged: {sound}"]
        ids = {row[0] for row in rows}
        wrong += [f"the acknowledged entry `{name}` is lost" for name in ("first", "second") if _lost(told, name, ids)]
        numbered = [row for row in rows if row[2] is not None]
        if "numbered" in told and any(told[name] not in {row[0] for row in numbered} for name in ("first", "second")):
            wrong.append("an entry that was numbered has no number")
        hashes = b"".join(hashlib.sha256(b"\x00" + row[1]).digest() for row in numbered)
        if hashes != b"".join(row[0] for row in tiles):
            wrong.append("the tiles are not those of the entries")
        if [row[2] for row in numbered] != list(range(len(numbered))):
            wrong.append("the leaf numbers have a gap")
        database = Database(_url(folder))
        try:
            with database.reading() as session:
                return wrong + [f"fsck: {one.kind} {one.detail}" for one in fsck(session).findings]
        finally:
            database.dispose()


def _record_second(db: Any) -> str:
    return record(db, ACTOR, Tag.LOG_EXPORTED, NOW, facts={"n": "second"})


def _lost(told: dict[str, Any], name: str, ids: set[str]) -> bool:
    return name in told and told[name] not in ids


class Sign:
    """The log signer persists a head and signs it."""

    name = "signer"
    folder_name = "log-signer"

    def begin(self, folder: Path) -> None:
        held = HeldState(folder / self.folder_name, ORIGIN)
        self.open(held)
        held.swap(Head(0, EMPTY_ROOT), _head(50))
        held.close()

    def open(self, held: HeldState) -> Any:
        return Signer(held)

    def act(self, folder: Path, marks: Marks) -> None:
        held = HeldState(folder / self.folder_name, ORIGIN)
        opened = self.open(held)
        old = held.head()
        marks.note("signed", {"size": 120, "note": self.sign(opened, old.size, _head(120))})
        held.close()

    def sign(self, signer: Any, old: int, head: Head) -> str:
        proof = consistency_proof(LEAVES[: head.size], old, head.size)
        note: str = signer.sign(SignRequest(ORIGIN, old, head, proof))
        return note

    def judge(self, folder: Path, told: dict[str, Any]) -> list[str]:
        try:
            state = json.loads((folder / self.folder_name / "state.json").read_bytes())
        except (OSError, ValueError) as error:
            return [f"the head is not readable any more: {error!r}"]
        wrong = []
        if (state["size"], state["root"]) not in [(size, _head(size).root.hex()) for size in (50, 120)]:
            wrong.append(f"the head is neither the old nor the new one: {state}")
        if "signed" in told and state["size"] != told["signed"]["size"]:
            wrong.append(f"a head of {told['signed']['size']} was signed, {state['size']} is held")
        return wrong + self._forks(folder, state["size"])

    def _forks(self, folder: Path, size: int) -> list[str]:
        """Another history of the same size, or one that does not extend it, must be refused."""
        held = HeldState(folder / self.folder_name, ORIGIN)
        opened, wrong = self.open(held), []
        forged = Head(size, hashlib.sha256(b"another history").digest())
        for asked in (forged, Head(size + 10, forged.root), _head(max(1, size - 10))):
            try:
                self.sign(opened, size if asked.size >= size else 0, asked)
            except Exception:  # noqa: BLE001 - any refusal will do
                continue
            wrong.append(f"a second history was signed at {asked.size}")
        held.close()
        return wrong


class Cosign(Sign):
    """The witness persists a head and cosigns it."""

    name = "witness"
    folder_name = "witness"
    log_key = NoteKey(ORIGIN, SIGNATURE, Ed25519PrivateKey.from_private_bytes(b"k" * 32))

    def open(self, held: HeldState) -> Any:
        return Witness(held, WITNESS, self.log_key.verifier)

    def sign(self, signer: Any, old: int, head: Head) -> str:
        proof = consistency_proof(LEAVES[: head.size], old, head.size) if head == _head(head.size) else []
        told = TreeHead(ORIGIN, head.size, head.root)
        note = parse_note(f"{told.text}\n{self.log_key.sign(told.text)}")
        line: str = signer.cosign(Submission(old, proof, note, told))
        assert base64.b64decode(line.split(" ")[2])
        return line


class Put:
    """The object folder takes a file."""

    name = "objects"
    content = bytes(range(256)) * 600
    sha256 = hashlib.sha256(content).hexdigest()

    def begin(self, folder: Path) -> None:
        FolderStore(folder / "objects").put([b"older"], limit=100)

    def act(self, folder: Path, marks: Marks) -> None:
        parts = (self.content[:100_000], self.content[100_000:])
        marks.note("stored", FolderStore(folder / "objects").put(parts, limit=1 << 20).sha256)

    def judge(self, folder: Path, told: dict[str, Any]) -> list[str]:
        wrong = [
            "an object has the name of other bytes"
            for path in (folder / "objects").glob("[0-9a-f][0-9a-f]/*")
            if hashlib.sha256(path.read_bytes()).hexdigest() != path.parent.name + path.name
        ]
        stored = folder / "objects" / self.sha256[:2] / self.sha256[2:]
        if "stored" in told and not stored.is_file():
            wrong.append("an acknowledged object is lost")
        return wrong


class Backup:
    """A backup of a small instance replaces an older one."""

    name = "backup"

    def begin(self, folder: Path) -> None:
        Append().begin(folder)
        Put().begin(folder)
        write_backup(_settings(folder), folder / "backup.tar", NOW)

    def act(self, folder: Path, marks: Marks) -> None:
        manifest = write_backup(_settings(folder), folder / "backup.tar", NOW.replace(year=2027))
        marks.note("written", manifest["made_at"])

    def judge(self, folder: Path, told: dict[str, Any]) -> list[str]:
        wrong = check_backup(folder / "backup.tar")
        if not wrong and "written" in told and told["written"].encode() not in (folder / "backup.tar").read_bytes():
            wrong.append("an acknowledged backup is not there")
        return wrong


def _settings(folder: Path) -> Settings:
    return Settings(data_folder=folder)


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'market.sqlite3'}"


def _head(size: int) -> Head:
    return Head(size, root_of_hashes(LEAVES[:size]))


STEPS: dict[str, Step] = {one.name: one for one in (Append(), Sign(), Cosign(), Put(), Backup())}
