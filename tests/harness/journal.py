"""What clients received, kept by themselves: answers, receipts, bytes.  I8 and I9 are judged from it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

TABLES = {
    "ast": "asset",
    "ver": "version",
    "req": "access_request",
    "agr": "agreement",
    "trf": "transfer",
    "lst": "listing",
    "off": "offer",
    "ent": "entry",
    "dem": "demand",
}
ID = re.compile(rf"\b({'|'.join(TABLES)})_[0-9a-f]{{32}}\b")


@dataclass(frozen=True)
class Answer:
    """A 2xx answer.  key: Idempotency-Key, None for a request without one; body: exact bytes in base64."""

    party: str
    method: str
    path: str
    key: str | None
    status: int
    body: str
    receipt: str | None

    @property
    def content(self) -> bytes:
        return base64.b64decode(self.body)


@dataclass(frozen=True)
class Received:
    """The bytes of one stream.  entry: X-Entry-Id; hashes: offset within it -> SHA-256 of everything up to there."""

    party: str
    transfer: str
    entry: str
    start: int
    bytes: int
    hashes: dict[int, str]


@dataclass
class Journal:
    """All records of a run, appended by many threads; checkpoints: cosigned notes that anybody was shown."""

    answers: list[Answer] = field(default_factory=list)
    streams: list[Received] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, answer: Answer) -> None:
        with self._lock:
            self.answers.append(answer)

    def received(self, stream: Received) -> None:
        with self._lock:
            self.streams.append(stream)

    def shown(self, note: str) -> None:
        with self._lock:
            if note not in self.checkpoints[-3:]:
                self.checkpoints.append(note)

    def now(self) -> Journal:
        """What there is at this moment."""
        with self._lock:
            return Journal(list(self.answers), list(self.streams), list(self.checkpoints))

    def write(self, path: Path) -> None:
        """Keep it as JSON lines."""
        with path.open("w") as file:
            for kind, rows in (("answer", self.answers), ("stream", self.streams)):
                for row in rows:
                    file.write(json.dumps({"kind": kind} | asdict(row)) + "\n")
            for note in self.checkpoints:
                file.write(json.dumps({"kind": "checkpoint", "note": note}) + "\n")

    @classmethod
    def read(cls, path: Path) -> Journal:
        journal = cls()
        for line in path.read_text().splitlines():
            row: dict[str, Any] = json.loads(line)
            match row.pop("kind"):
                case "answer":
                    journal.answers.append(Answer(**row))
                case "stream":
                    row["hashes"] = {int(at): name for at, name in row["hashes"].items()}
                    journal.streams.append(Received(**row))
                case _:
                    journal.checkpoints.append(row["note"])
        return journal


def one_effect(journal: Journal, kept: dict[str, tuple[int, bytes]]) -> Iterator[str]:
    """I8: the same key was answered with the same bytes, and the kept answer is that one.

    kept: rows of `idempotency` by SHA-256 of their body.
    """
    first: dict[tuple[str, str, str], Answer] = {}
    for one in journal.answers:
        if one.key is None:
            continue
        before = first.setdefault((one.party, one.path, one.key), one)
        if (before.status, before.body) != (one.status, one.body):
            yield f"I8 {one.method} {one.path} was answered in two ways under one key"
        if _digest(one.content) not in kept:
            yield f"I8 the answer to {one.method} {one.path} under {one.key} is not kept"


def still_there(journal: Journal, known: dict[str, set[str]], leaves: dict[str, str]) -> Iterator[str]:
    """I9: every id that an answer named has its row, every promised entry its exact bytes.

    known: table -> ids; leaves: entry id -> leaf hash in hex.
    """
    for one in journal.answers:
        for found in ID.finditer(one.content.decode("utf-8", "replace")):
            if found[0] not in known[TABLES[found[1]]]:
                yield f"I9 {found[0]} was acknowledged to {one.party} and is gone"
        for name, leaf in promised(one.receipt):
            if leaves.get(name) != leaf:
                yield f"I9 entry {name} was promised to {one.party} and is gone or another one"
    for stream in journal.streams:
        if stream.transfer not in known["transfer"]:
            yield f"I9 {stream.transfer} served {stream.party} and is gone"


def promised(receipt: str | None) -> Iterable[tuple[str, str]]:
    """(entry, leaf hash) pairs that a receipt promises one by one."""
    if receipt is None:
        return []
    payload = receipt.split(".")[1]
    told = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return [(one["id"], one["leaf"]) for one in told.get("entries", ())]


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
