"""Reading the log, scoped to who asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, func, select

from marketplace.audit.models import Checkpoint, Document, Entry
from marketplace.kernel.actor import SERVICE, Actor, Role
from marketplace.kernel.errors import NotFound

_HASH = re.compile(r'"([0-9a-f]{64})"')
_NEGOTIATION = "negotiation:"


class NoSuchEntry(NotFound):
    """No such entry."""


class NoSuchCheckpoint(NotFound):
    """There is no checkpoint yet."""


@dataclass(frozen=True)
class Qualifiers:
    """What a search for entries may be narrowed by; all given ones must hold.

    action: a tag, or the room with its colon for all of its tags, e.g. `usage:`.  time_to is exclusive.
    """

    actor: str | None = None
    action: str | None = None
    asset: str | None = None
    agreement: str | None = None
    time_from: datetime | None = None
    time_to: datetime | None = None


def latest_checkpoint(db: Session) -> Checkpoint | None:
    """The largest cosigned checkpoint, None before the first."""
    return db.exec(select(Checkpoint).order_by(col(Checkpoint.size).desc()).limit(1)).first()


def published_checkpoint(db: Session) -> Checkpoint:
    """The largest cosigned checkpoint.  Raises NoSuchCheckpoint."""
    found = latest_checkpoint(db)
    if found is None:
        raise NoSuchCheckpoint("no checkpoint has been cosigned yet", action="try again in a second")
    return found


def waiting(db: Session, limit: int) -> Sequence[tuple[str, bytes]]:
    """Committed entries without a leaf number, as (id, body) in id order."""
    rows = select(Entry.id, Entry.body).where(col(Entry.leaf_index).is_(None)).order_by(Entry.id).limit(limit)
    return db.exec(rows).all()


def anything_waits(db: Session) -> bool:
    """Whether an entry has no leaf number yet."""
    return db.exec(select(Entry.id).where(col(Entry.leaf_index).is_(None)).limit(1)).first() is not None


def entry(db: Session, entry_id: str) -> Entry:
    """One entry, whoever may read it: for other rooms.  Raises NoSuchEntry."""
    found = db.get(Entry, entry_id)
    if found is None:
        raise NoSuchEntry("no entry with this id", got=entry_id[:80])
    return found


def entry_for(db: Session, actor: Actor, entry_id: str) -> Entry:
    """An entry that the caller may read: its own, an auditor any.  Raises NoSuchEntry."""
    found = entry(db, entry_id)
    if actor.has(Role.AUDITOR) or found.actor == actor.participant:
        return found
    raise NoSuchEntry("no entry with this id", got=entry_id[:80])


def entries_for(
    db: Session, actor: Actor, asked: Qualifiers, *, after: str | None = None, limit: int = 100
) -> Sequence[Entry]:
    """Entries that the caller may read, in id order, behind a cursor id."""
    rows = select(Entry).where(*conditions(asked)).order_by(Entry.id).limit(limit)
    if not actor.has(Role.AUDITOR):
        rows = rows.where(Entry.actor == actor.participant)
    return db.exec(rows.where(Entry.id > after) if after else rows).all()


def conditions(asked: Qualifiers) -> list[Any]:
    """The qualifiers as SQL conditions."""
    found: list[Any] = []
    for column, value in (
        (Entry.actor, asked.actor),
        (Entry.asset, asked.asset),
        (Entry.agreement, asked.agreement),
    ):
        if value is not None:
            found.append(column == value)
    if asked.action is not None:
        exact = not asked.action.endswith(":")
        found.append(Entry.tag == asked.action if exact else col(Entry.tag).startswith(asked.action, autoescape=True))
    if asked.time_from is not None:
        found.append(Entry.at >= asked.time_from)
    if asked.time_to is not None:
        found.append(Entry.at < asked.time_to)
    return found


def leaves(db: Session, where: Sequence[Any], size: int, limit: int) -> Sequence[Entry]:
    """Entries inside the tree of `size` leaves in leaf order."""
    rows = select(Entry).where(*where, col(Entry.leaf_index) < size).order_by(col(Entry.leaf_index)).limit(limit)
    return db.exec(rows).all()


def count_waiting(db: Session, where: Sequence[Any], size: int) -> int:
    """Entries that match but are not inside the tree of `size` leaves yet."""
    outside = col(Entry.leaf_index).is_(None) | (col(Entry.leaf_index) >= size)
    return db.exec(select(func.count()).select_from(Entry).where(*where, outside)).one()


def negotiation_entries(db: Session, agreements: Iterable[str]) -> Sequence[Entry]:
    """The entries by which agreements came about: they tie an agreement's id to its document."""
    rows = select(Entry).where(
        col(Entry.agreement).in_(list(agreements)), col(Entry.tag).startswith(_NEGOTIATION, autoescape=True)
    )
    return db.exec(rows.order_by(Entry.id)).all()


def parties(db: Session, agreement_id: str) -> set[str]:
    """Provider and buyer of an agreement, as its documents name them; empty for an unknown one."""
    found = set[str]()
    for document in cited(db, [row.body for row in negotiation_entries(db, [agreement_id])]):
        if document.kind == "agreement":
            named = json.loads(document.body).get("parties", {})
            found |= {str(named[side]["id"]) for side in ("provider", "buyer") if "id" in named.get(side, {})}
    return found


def readable_agreement_entries(db: Session, actor: Actor, agreement_id: str) -> list[Any] | None:
    """Conditions under which a party may read an agreement's entries, None for a stranger.

    Attempts of third parties under this agreement stay out.
    """
    known = parties(db, agreement_id)
    if actor.participant not in known:
        return None
    return [Entry.agreement == agreement_id, col(Entry.actor).in_([*known, SERVICE])]


def cited(db: Session, bodies: Iterable[bytes]) -> list[Document]:
    """The documents that texts cite by hash, in order of hash."""
    names = sorted({name for body in bodies for name in _HASH.findall(body.decode())})
    found: list[Document] = []
    for start in range(0, len(names), 500):
        rows = select(Document).where(col(Document.sha256).in_(names[start : start + 500]))
        found += db.exec(rows.order_by(Document.sha256)).all()
    return found
