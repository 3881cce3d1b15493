"""Persons behind commitments: named by their organisation, disclosed on record, erased after the retention clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel import Session, col, select

from marketplace.audit.commitments import SEEN_EVERY, commit_to, known
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry, Person
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict, Forbidden, NotFound


class NoSuchPerson(NotFound):
    """No such commitment."""


class PersonErased(Conflict):
    """The tie between this commitment and a person was erased."""


class PersonDoesNotFit(Conflict):
    """What is kept of this person is not what the commitment was made of."""


class RetentionRuns(Conflict):
    """The retention clock of this person's acts is still running."""


class NotYourPerson(Forbidden):
    """Only its own participant erases a person."""


@dataclass(frozen=True)
class Known:
    """A commitment and what may be said of it without naming the person.

    last_act: of the entries that carry it; erasable_from: end of the retention clock.
    """

    commitment: str
    participant: str
    named_at: datetime
    last_act: datetime
    erasable_from: datetime
    erased_at: datetime | None


def introduce(db: Session, actor: Actor, now: datetime) -> str:
    """Make a person known to the log before the first act; returns the commitment, which may travel in a token.

    actor: with its person.  Records: participant:person_named, the first time only.
    """
    assert actor.person is not None
    found = known(db, actor.participant, actor.person)
    if found is None:
        record(db, actor, Tag.PERSON_NAMED, now)
        found = known(db, actor.participant, actor.person)
        assert found is not None
    return found.commitment


def disclose_person(db: Session, actor: Actor, commitment: str, now: datetime) -> Person:
    """Who is behind a commitment: for its own participant and for auditors.

    Raises NoSuchPerson, PersonErased, PersonDoesNotFit.  Records: participant:person_disclosed.
    """
    found = _visible(db, actor, commitment)

    _require_tied(found)
    if found.salt is None or commit_to(found.salt, found.participant, found.identifier or "") != commitment:
        raise PersonDoesNotFit(
            "salt and name are not those of this commitment",
            got=commitment,
            action="the row was changed from outside: tell the platform operator",
        )

    record(db, actor, Tag.PERSON_DISCLOSED, now, facts=_facts(found))
    return found


def erase_person(db: Session, actor: Actor, commitment: str, now: datetime, *, retention_days: int) -> Known:
    """Erase salt and identifier, so that nobody can ever tie the commitment to a person; entries stay as they are.

    retention_days: how long after the last act the tie must be kept.
    Raises NoSuchPerson, NotYourPerson, PersonErased, RetentionRuns naming the day.
    Records: participant:person_erased.
    Source: 45 CFR 164.528 (six years), EHDS regulation art. 73 (at least one year).
    """
    found = _visible(db, actor, commitment)
    db.refresh(found, with_for_update=True)

    if found.participant != actor.participant:
        raise NotYourPerson("a person is erased by its own participant", expected=found.participant)
    _require_tied(found)
    standing = describe(db, found, retention_days=retention_days)
    if now < standing.erasable_from:
        raise RetentionRuns(
            "the tie to this person must be kept until the retention clock ends",
            expected=f"{timestamp(standing.erasable_from)} or later",
            got=timestamp(now),
            action="ask again then",
        )

    _overwrite_freed_pages(db)
    found.identifier, found.salt, found.erased_at = None, None, now
    db.add(found)
    db.flush()

    record(db, actor, Tag.PERSON_ERASED, now, facts=_facts(found))
    return describe(db, found, retention_days=retention_days)


def persons_for(
    db: Session, actor: Actor, *, retention_days: int, after: str | None = None, limit: int = 100
) -> Sequence[Known]:
    """The commitments of the caller's own persons, for auditors everybody's, in order, behind a cursor; no names."""
    rows = select(Person).order_by(Person.commitment).limit(limit)
    if not actor.has(Role.AUDITOR):
        rows = rows.where(Person.participant == actor.participant)
    found = db.exec(rows.where(Person.commitment > after) if after else rows).all()
    return [describe(db, one, retention_days=retention_days) for one in found]


def describe(db: Session, person: Person, *, retention_days: int) -> Known:
    """What may be said of a commitment without naming the person."""
    last = _last_act(db, person)
    until = last + timedelta(days=retention_days)
    return Known(person.commitment, person.participant, person.named_at, last, until, person.erased_at)


def _last_act(db: Session, person: Person) -> datetime:
    """The exact moment, from the entries of the day that the row names."""
    rows = (
        select(Entry.at, Entry.body)
        .where(Entry.actor == person.participant, Entry.at >= person.acted_at, Entry.at <= person.acted_at + SEEN_EVERY)
        .order_by(col(Entry.at).desc())
    )
    wanted = person.commitment
    mine = (at for at, body in db.exec(rows) if json.loads(body)["actor"].get("person") == wanted)
    return next(mine, person.acted_at)


def _visible(db: Session, actor: Actor, commitment: str) -> Person:
    found = db.get(Person, commitment)
    if found is None or not (actor.has(Role.AUDITOR) or found.participant == actor.participant):
        raise NoSuchPerson("no person with this commitment", got=commitment[:64])
    return found


def _require_tied(person: Person) -> None:
    if person.erased_at is not None:
        raise PersonErased("the tie was erased", got=timestamp(person.erased_at), action="nobody can restore it")


def _overwrite_freed_pages(db: Session) -> None:
    if db.get_bind().dialect.name == "sqlite":
        # Else the old bytes would stay in the file until something else needs their place.
        db.connection().execute(text("PRAGMA secure_delete=ON"))


def _facts(person: Person) -> dict[str, object]:
    return {"participant": person.participant, "person": person.commitment}
