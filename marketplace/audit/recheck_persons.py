"""Re-check persons against the log: who acted has a row, and the tie to a name is gone only where an entry says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, literal_column
from sqlalchemy import select as sql_select
from sqlmodel import Session, col

from marketplace.audit.commitments import SEEN_EVERY, commit_to
from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry, Person
from marketplace.audit.recheck import RowFinding, rows, told
from marketplace.kernel.actor import SERVICE
from marketplace.kernel.clock import parse_timestamp

# At the head of a body, where only `entry.record` writes: a commitment between the acting participant and the facts.
_PERSON = re.compile(
    rb'\{"actor":\{"kid":[^{}]*?,"participant":"([^"]*)","person":"([0-9a-f]{64})"\},"at":"([^"]{20,40})","facts":'
)


@dataclass
class _Seen:
    """Of a commitment in the log: whose it is, its first and its last act."""

    participant: str
    first: str
    last: str


def persons(db: Session) -> Iterator[RowFinding]:
    """Rows of persons that differ from what the entries tell; what the log never tells is whom a person is."""
    seen = _seen(db)
    erased = {facts.get("person"): entry for entry, facts in told(db, Tag.PERSON_ERASED)}
    missing = dict(seen)
    for row in rows(db, Person):
        if isinstance(row, RowFinding):
            missing.pop(row.key, None)
            yield row
            continue
        missing.pop(row.commitment, None)
        end = erased.get(row.commitment)
        for kind, detail in _differences(row, seen.get(row.commitment), end.at if end else None):
            yield RowFinding("person", row.commitment, kind, detail, end.id if end else None)
    for commitment in missing:
        yield RowFinding("person", commitment, "deleted", "a person who acted has no row")


def _differences(row: Person, seen: _Seen | None, erased_at: str | None) -> Iterator[tuple[str, str]]:
    """(kind, detail) of each way in which a row does not fit."""
    if seen is None:
        yield "inserted", "this person never acted"
        return
    if row.participant != seen.participant:
        yield "edited", "the person acted for another participant"
        return
    if row.named_at < parse_timestamp(seen.first) or not _day_of_last(row, seen):
        yield "edited", "the moments are not those of the person's entries"
    if erased_at is not None:
        if (row.identifier, row.salt) != (None, None) or row.erased_at != parse_timestamp(erased_at):
            yield "edited", "the person was erased, and the row does not say so"
    elif row.erased_at is not None or row.identifier is None or row.salt is None:
        yield "edited", "no entry erased this person"
    elif commit_to(row.salt, row.participant, row.identifier) != row.commitment:
        yield "edited", "salt and name are not those of this commitment"


def _day_of_last(row: Person, seen: _Seen) -> bool:
    last = parse_timestamp(seen.last)
    return row.named_at <= row.acted_at <= last < row.acted_at + SEEN_EVERY + timedelta(seconds=1)


def _seen(db: Session) -> dict[str, _Seen]:
    found: dict[str, _Seen] = {}
    bodies: Select[Any] = sql_select(literal_column("entry.body")).select_from(Entry).where(col(Entry.actor) != SERVICE)
    for (body,) in db.connection().execute(bodies.execution_options(yield_per=1000)):
        match = _PERSON.match(body) if isinstance(body, bytes) else None
        if match is None:
            continue
        participant, commitment, at = (one.decode() for one in match.groups())
        one = found.setdefault(commitment, _Seen(participant, at, at))
        one.first, one.last = min(one.first, at), max(one.last, at)
    return found
