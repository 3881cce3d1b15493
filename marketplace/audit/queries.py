"""Reading the log, scoped to who asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlmodel import Session, col, func, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Checkpoint, Document, Entry
from marketplace.audit.tiles import WIDTH
from marketplace.kernel.actor import SERVICE, Actor, Role
from marketplace.kernel.errors import Forbidden, NotFound

_HASH = re.compile(r'"([0-9a-f]{64})"')
_NEGOTIATION = "negotiation:"
UNKNOWN = "unknown"


class NoSuchEntry(NotFound):
    """No such entry."""


class NotYourBundle(Forbidden):
    """Entries of many participants lie together there."""


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


@dataclass(frozen=True)
class Use:
    """An entry as reports read it, outside the session's identity map: a hundred thousand pass through."""

    id: str
    tag: str
    actor: str
    at: datetime
    asset: str | None
    version: str | None
    agreement: str | None
    leaf_index: int | None
    body: bytes

    @cached_property
    def content(self) -> dict[str, Any]:
        """The parsed body."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = self.content["facts"]
        return facts

    @property
    def person(self) -> str | None:
        """The commitment of who acted; entries of before persons have none."""
        person: str | None = self.content["actor"].get("person")
        return person


@dataclass(frozen=True)
class Identity:
    """A participant as it was admitted; empty text where the log does not say."""

    legal_name: str = ""
    credit_code: str = ""


def latest_checkpoint(db: Session) -> Checkpoint | None:
    """The largest cosigned checkpoint, None before the first."""
    return db.exec(select(Checkpoint).order_by(col(Checkpoint.size).desc()).limit(1)).first()


def published_checkpoint(db: Session) -> Checkpoint:
    """The largest cosigned checkpoint.  Raises NoSuchCheckpoint."""
    found = latest_checkpoint(db)
    if found is None:
        raise NoSuchCheckpoint("no checkpoint has been cosigned yet", action="try again in a second")
    return found


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


def uses(db: Session, where: Sequence[Any], tags: Sequence[str], size: int | None, limit: int) -> list[Use]:
    """Entries of these tags in order of their ids; size: only those inside the tree of that size."""
    columns = (Entry.id, Entry.tag, Entry.actor, Entry.at, Entry.asset, Entry.version, Entry.agreement)
    rows = select(*columns, Entry.leaf_index, Entry.body).where(*where, col(Entry.tag).in_(tags))  # type: ignore[call-overload]
    if size is not None:
        rows = rows.where(col(Entry.leaf_index) < size)
    return [Use(*row) for row in db.exec(rows.order_by(Entry.id).limit(limit))]


def owner(db: Session, asset: str) -> str | None:
    """Who registered an asset, as the log says; None for an unknown one."""
    rows = select(Entry.actor).where(Entry.asset == asset, Entry.tag == Tag.ASSET_REGISTERED)
    return db.exec(rows.order_by(Entry.id).limit(1)).first()


def identities(db: Session) -> dict[str, Identity]:
    """Participant id -> the identity it was admitted with, as the log says."""
    found: dict[str, Identity] = {}
    for body in db.exec(select(Entry.body).where(Entry.tag == Tag.PARTICIPANT_ADMITTED)):
        facts = json.loads(body)["facts"]
        found[facts["participant"]] = Identity(facts.get("legal_name", ""), facts.get("credit_code", ""))
    return found


def named(db: Session, column: Any, value: str | None) -> str | None:
    """A value that the log knows in this column, else `unknown`: no free text of a caller enters the log."""
    if value is None:
        return None
    return value if db.exec(select(Entry.id).where(column == value).limit(1)).first() is not None else UNKNOWN


def subject(named: str | None) -> str | None:
    """What an entry is about, from `named`: nothing when the log does not know it."""
    return None if named == UNKNOWN else named


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


def entries_about(db: Session, tags: Sequence[str], where: Sequence[Any], size: int) -> Iterator[tuple[str, bytes]]:
    """Id and body of all entries of these tags inside the tree of `size` leaves, in id order, without a limit.

    For callers that pick few of many by what only the body says.
    """
    rows = select(Entry.id, Entry.body).where(*where, col(Entry.tag).in_(tags), col(Entry.leaf_index) < size)
    yield from db.exec(rows.order_by(Entry.id).execution_options(yield_per=1000))


def by_ids(db: Session, ids: Iterable[str]) -> Sequence[Entry]:
    """Entries by id, in id order."""
    wanted, found = sorted(set(ids)), list[Entry]()
    for start in range(0, len(wanted), 500):
        rows = select(Entry).where(col(Entry.id).in_(wanted[start : start + 500]))
        found += db.exec(rows.order_by(Entry.id)).all()
    return found


@dataclass
class ServiceKeyLife:
    """A key of the service, from the entries about it.  until: when it was revoked, None while it is in use."""

    kid: str
    since: datetime | None = None
    until: datetime | None = None


def service_keys(db: Session) -> list[ServiceKeyLife]:
    """The service's own keys in the order of their registration."""
    registered, revoked = "participant:key_registered", "participant:key_revoked"
    rows = select(Entry).where(Entry.actor == SERVICE, col(Entry.tag).in_([registered, revoked])).order_by(Entry.id)
    found: dict[str, ServiceKeyLife] = {}
    for row in db.exec(rows):
        facts = json.loads(row.body)["facts"]
        if facts["participant"] != SERVICE:
            continue
        life = found.setdefault(facts["kid"], ServiceKeyLife(facts["kid"]))
        if row.tag == registered:
            life.since = row.at
        else:
            life.until = row.at
    return list(found.values())


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


def bundle_for(db: Session, actor: Actor, index: int, width: int) -> Sequence[Entry]:
    """The entries of one tile in leaf order, within the latest checkpoint, for auditors.

    Raises NotYourBundle; NoSuchEntry when the checkpoint does not cover them.
    """
    if not actor.has(Role.AUDITOR):
        raise NotYourBundle("entry bundles are for auditors", action="your own entries are at GET /v1/entries")
    first, size = index * WIDTH, published_checkpoint(db).size
    leaf = col(Entry.leaf_index)
    rows = db.exec(select(Entry).where(leaf >= first, leaf < min(first + width, size)).order_by(leaf)).all()
    if len(rows) < width:
        wanted = f"{width} entries from leaf {first}"
        raise NoSuchEntry("the log has no such bundle", expected=wanted, got=str(len(rows)))
    return rows
