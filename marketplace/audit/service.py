"""The verbs of the log: integrate committed entries into the tree, have heads signed, prove."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from marketplace.audit import queries, tiles
from marketplace.audit.client import LogClient
from marketplace.audit.heldstate import Head
from marketplace.audit.models import Checkpoint
from marketplace.audit.tiles import StoredTree, TreeDamaged
from marketplace.audit.tree import consistency_path, inclusion_path, leaf_hash
from marketplace.kernel.errors import Invalid, NotFound, Unavailable
from marketplace.plumbing.db import Database

BATCH = 10_000
CHUNK = 500
"""Entries numbered in one transaction: while it lasts nobody can append."""
_LOCK = 0x6C6F67  # one number for all integrators on one PostgreSQL database

# One statement, because the database numbers ten times as fast as a loop over the rows.
_NUMBER = text(
    "UPDATE entry SET leaf_index = :size + numbered.place "
    "FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place "
    "FROM (SELECT id FROM entry WHERE leaf_index IS NULL ORDER BY id LIMIT :limit) AS waiting) AS numbered "
    "WHERE entry.id = numbered.id"
)
_NUMBERED = text("SELECT body FROM entry WHERE leaf_index >= :size AND leaf_index < :end ORDER BY leaf_index")


class LogBehind(Unavailable):
    """The database is behind what the log signer or the witness has signed."""


class LogForked(Unavailable):
    """The database holds another history than the one that was signed."""


class NotYetInTree(NotFound):
    """The entry is not in a cosigned tree yet."""


class BadTreeSize(Invalid):
    """No proof exists between these tree sizes."""


@dataclass(frozen=True)
class Round:
    """What one round of integration did.  size: leaves in the tree; checkpoint: size of the latest cosigned one."""

    integrated: int
    size: int
    checkpoint: int


@dataclass(frozen=True)
class Proof:
    """That an entry is in the log.  path: sibling hashes from leaf to root; note: the cosigned checkpoint."""

    index: int
    size: int
    leaf: bytes
    path: list[bytes]
    root: str
    note: str

    @property
    def tlog_proof(self) -> str:
        """The proof as a C2SP tlog-proof file; its `extra` is the leaf hash, so that it shows alone what it proves."""
        extra = base64.b64encode(self.leaf).decode()
        lines = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.path)
        return f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex {self.index}\n{lines}\n{self.note}"


def integrate(database: Database, log: LogClient, now: datetime, *, limit: int = BATCH) -> Round:
    """Give waiting entries their leaf numbers, then have the new head signed and cosigned.

    The numbers commit first, so a signer that fails leaves whole entries behind and the next round signs them.
    limit: most entries of one round.  Raises LogSilent, LogRefused, BadNote, TreeDamaged, LogBehind.
    """
    integrated = number_entries(database, limit=limit)
    size, checkpoint = sign_head(database, log, now)
    return Round(integrated, size, checkpoint)


def number_entries(database: Database, *, limit: int = BATCH) -> int:
    """Give waiting entries consecutive leaf numbers in id order and grow the tiles, up to CHUNK in one transaction.

    Several integrators may run: SQLite's write lock or an advisory lock lets one at a time.  Raises TreeDamaged.
    """
    numbered = 0
    with database.reading() as db:
        if not queries.anything_waits(db):
            return 0
    while numbered < limit:
        wanted = min(CHUNK, limit - numbered)
        with database.transaction() as db:
            found = _number_some(db, wanted)
        numbered += found
        if found < wanted:
            break
    return numbered


def _number_some(db: Session, limit: int) -> int:
    if db.get_bind().dialect.name == "postgresql":
        db.connection().execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    size = StoredTree(db).size
    latest = queries.latest_checkpoint(db)
    if latest is not None and latest.size > size:
        raise TreeDamaged(
            "tiles are missing",
            expected=f"{latest.size} leaves",
            got=str(size),
            action="run `marketplace audit fsck`",
        )

    found = db.connection().execute(_NUMBER, {"size": size, "limit": limit}).rowcount
    bodies = db.connection().execute(_NUMBERED, {"size": size, "end": size + found}).scalars()
    tiles.grow(db, size, [leaf_hash(body) for body in bodies])
    return found


def sign_head(database: Database, log: LogClient, now: datetime) -> tuple[int, int]:
    """Have the present head signed and cosigned unless it is already; returns tree size and checkpoint size.

    Only a checkpoint that the witness cosigned is stored.  Raises as `integrate`, and LogForked.
    """
    with database.reading() as db:
        size, latest = StoredTree(db).size, queries.latest_checkpoint(db)
        if size == (latest.size if latest else 0):
            return size, size
    signed_last, cosigned_last = log.signer.head(), log.witness.head()
    with database.reading() as db:
        tree = StoredTree(db)
        head = Head(size, tree.root(size))
        if max(signed_last.size, cosigned_last.size) > size:
            raise behind(max(signed_last.size, cosigned_last.size), size)
        for last in (signed_last, cosigned_last):
            if tree.root(last.size) != last.root:
                # Asked before the signer is: it must not sign a history that the witness will refuse.
                raise LogForked(
                    f"the tree at {last.size} leaves is not the one that was signed",
                    expected=last.root.hex(),
                    got=tree.root(last.size).hex(),
                    action="stop, keep the database as it is, run `marketplace audit fsck`",
                )
        proofs = [consistency_path(tree.read, last.size, size) for last in (signed_last, cosigned_last)]

    signed = log.sign(signed_last.size, head, proofs[0])
    note = log.cosign(cosigned_last.size, signed, proofs[1])

    with database.transaction() as db:
        if db.get(Checkpoint, size) is None:
            db.add(Checkpoint(size=size, root=head.root.hex(), note=note, at=now))
    return size, size


def prove(db: Session, entry_id: str) -> Proof:
    """The inclusion proof of an entry in the latest cosigned checkpoint.  Raises NoSuchEntry, NotYetInTree."""
    found = queries.entry(db, entry_id)
    if found.leaf_index is None:
        raise NotYetInTree("the entry waits for its leaf number", action="try again in a second")
    return prove_leaf(db, found.leaf_index)


def prove_leaf(db: Session, index: int) -> Proof:
    """The inclusion proof of a leaf in the latest cosigned checkpoint.  Raises NotYetInTree, NoSuchCheckpoint."""
    return prove_leaves(db, queries.published_checkpoint(db), [index])[0]


def prove_leaves(db: Session, checkpoint: Checkpoint, indexes: list[int]) -> list[Proof]:
    """Inclusion proofs of several leaves under one checkpoint.  Raises NotYetInTree."""
    tree, size = StoredTree(db), checkpoint.size
    if any(not 0 <= index < size for index in indexes):
        raise NotYetInTree("not in the latest cosigned tree", expected=f"an index below {size}", action="try again")
    if len(indexes) > 1:
        tree.fetch(indexes)
    return [
        Proof(
            index, size, tree.read(0, index), inclusion_path(tree.read, index, size), checkpoint.root, checkpoint.note
        )
        for index in indexes
    ]


def prove_growth(db: Session, old: int, new: int) -> list[bytes]:
    """The consistency proof between two tree sizes up to the latest checkpoint.  Raises BadTreeSize."""
    published = queries.published_checkpoint(db).size
    if not 0 <= old <= new <= published:
        raise BadTreeSize("sizes out of order", expected=f"0 <= from <= to <= {published}", got=f"{old}, {new}")
    return consistency_path(StoredTree(db).read, old, new)


def behind(signed: int, held: int) -> LogBehind:
    """The refusal for a database that lacks leaves.  signed, held: tree sizes."""
    return LogBehind(
        "the database lacks entries that were signed",
        expected=f"at least {signed} leaves",
        got=str(held),
        action="an old copy was restored: bring back the newest one, or run `marketplace recover`",
    )
