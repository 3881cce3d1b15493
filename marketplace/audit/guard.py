"""The guard: a database that lacks entries that were signed, or holds other ones, is not served (threats T6 to T8).

Signer and witness keep the last head outside the database; the tree must hold it, and the rows must be the tree's.
"""

from __future__ import annotations

import random

from sqlmodel import Session, col, func, select

from marketplace.audit import queries
from marketplace.audit.client import LogClient, PeerState
from marketplace.audit.heldstate import Head
from marketplace.audit.models import Checkpoint, Entry
from marketplace.audit.note import BadNote
from marketplace.audit.service import LogBehind, LogForked, behind
from marketplace.audit.succession import with_former
from marketplace.audit.tiles import WIDTH, StoredTree
from marketplace.audit.tree import inclusion_path, leaf_hash, verify_inclusion
from marketplace.kernel.errors import Unavailable
from marketplace.plumbing.db import Database

NEWEST = 2 * WIDTH
SAMPLE = 256

FSCK = "stop, keep the database as it is, run `marketplace audit fsck`"


class HeadRolledBack(Unavailable):
    """The log signer or the witness holds an older head than one it has signed."""


class AnotherSigner(Unavailable):
    """The log signer or the witness is not the one whose key this instance knows."""


def check_not_behind(database: Database, log: LogClient) -> None:
    """The guard at start-up: every leaf that was ever signed is here, in the history that was signed.

    The newest rows and a random sample of the others are hashed against the signed root; `audit fsck` checks all.
    Raises LogBehind (an old copy was restored), LogForked (rows were changed), HeadRolledBack, AnotherSigner,
    LogSilent.
    """
    check_heads(database, log)
    with database.reading() as db:
        _check_rows(db)


def check_heads(database: Database, log: LogClient) -> None:
    """Compare the tree with what signer, witness and the latest checkpoint say; cheap, so also asked while serving.

    Raises as `check_not_behind`.
    """
    with database.reading() as db:
        latest = queries.latest_checkpoint(db)
    # Asked between two reads: the stored checkpoint was signed before, and the tree holds at least what they sign.
    states = {"log signer": log.signer.state(), "witness": log.witness.state()}
    expected = {"log signer": str(log.keys.log), "witness": str(log.keys.witness)}
    with database.reading() as db:
        tree = StoredTree(db)
        for name, state in states.items():
            _check_identity(name, state, log.keys.origin, expected[name])
            _check_head(tree, name, state.head)
            _check_grown(name, state, latest)
        if latest is not None:
            _check_head(tree, "stored checkpoint", Head(latest.size, bytes.fromhex(latest.root)))
            _check_note(db, log, latest)


def _check_identity(name: str, state: PeerState, origin: str, key: str) -> None:
    if state.origin != origin:
        raise LogBehind(
            f"the {name} signs under another origin",
            expected=origin,
            got=state.origin,
            action="a copy from before a recovery was restored, or the setting `log_origin` is wrong",
        )
    if state.key != key:
        raise AnotherSigner(
            f"the {name} has another key than this instance knows",
            expected=key,
            got=state.key,
            action="after a rotation, set the new public key; otherwise find out whose process answers",
        )


def _check_head(tree: StoredTree, name: str, head: Head) -> None:
    if head.size > tree.size:
        raise behind(head.size, tree.size)
    if tree.root(head.size) != head.root:
        raise LogForked(
            f"the tree at {head.size} leaves is not the one the {name} holds",
            expected=head.root.hex(),
            got=tree.root(head.size).hex(),
            action=FSCK,
        )


def _check_grown(name: str, state: PeerState, latest: Checkpoint | None) -> None:
    if latest is not None and latest.note.startswith(f"{state.origin}\n") and state.head.size < latest.size:
        raise HeadRolledBack(
            f"the {name} holds an older head than it has signed: its folder was restored from a copy",
            expected=f"at least {latest.size} leaves",
            got=str(state.head.size),
            action="bring back its newest folder, or run `marketplace recover`",
        )


def _check_note(db: Session, log: LogClient, latest: Checkpoint) -> None:
    try:
        head = with_former(db, log.keys).open(latest.note)
    except BadNote as error:
        raise LogForked(f"the latest checkpoint is not signed as it must be: {error}", action=FSCK) from error
    if (head.size, head.root.hex()) != (latest.size, latest.root):
        raise LogForked("the latest checkpoint's note says something else than its row", action=FSCK)


def _check_rows(db: Session) -> None:
    """The rows are those of the tree: as many, numbered without a gap, and the ones looked at are its leaves."""
    tree = StoredTree(db)
    size = tree.size
    number = col(Entry.leaf_index)
    count, first, last = db.exec(select(func.count(number), func.min(number), func.max(number))).one()
    if (count, first, last) != ((size, 0, size - 1) if size else (0, None, None)):
        raise LogBehind(
            "the rows of the log are not those of its tree",
            expected=f"{size} entries",
            got=f"{count} entries, numbered {first} to {last}",
            action=FSCK,
        )
    root = tree.root(size)
    newest = range(max(0, size - NEWEST), size)
    chosen = random.SystemRandom().sample(range(newest.start), min(SAMPLE, newest.start))
    for index, body in _bodies(db, [*chosen, *newest]):
        hashed = leaf_hash(body if isinstance(body, bytes) else str(body).encode())  # SQLite keeps any type
        if hashed != tree.read(0, index) or not verify_inclusion(
            hashed, index, size, inclusion_path(tree.read, index, size), root
        ):
            raise LogForked("an entry is not the leaf of its number", got=f"leaf {index}", action=FSCK)


def _bodies(db: Session, indexes: list[int]) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    for start in range(0, len(indexes), 500):
        rows = select(Entry.leaf_index, Entry.body).where(col(Entry.leaf_index).in_(indexes[start : start + 500]))
        found += [(int(index), body) for index, body in db.exec(rows) if index is not None]
    return found
