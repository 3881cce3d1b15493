"""Searching the log in one line: `actor:prt_x action:usage: asset:ast_y agreement:agr_z from:2026-01-01 to:2026-02-01`.

A closed grammar: qualifiers with their values, separated by spaces, each at most once; there is no free text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, time
from typing import Any

from sqlmodel import Session

from marketplace.audit import queries
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.audit.queries import Qualifiers
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Invalid

LONGEST = 600
_WORD = re.compile(r"[^ ]+")
_ID = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_ACTION = re.compile(r"[a-z_]{1,40}:[a-z_]{0,40}")


class BadQuery(Invalid):
    """The search cannot be read."""


def parse(query: str) -> Qualifiers:
    """Read a search.  Raises BadQuery, naming the word and its position (first character is 1)."""
    found: dict[str, Any] = {}
    for match in _WORD.finditer(query):
        word, at = match.group(), match.start() + 1
        name, colon, value = word.partition(":")
        if not colon or name not in _READERS:
            raise BadQuery(
                f"unknown qualifier at position {at}",
                expected=", ".join(f"{one}:" for one in _READERS),
                got=_shown(name + colon),
                action="write qualifiers with their values, separated by spaces",
            )
        field, read, expected = _READERS[name]
        if field in found:
            raise BadQuery(f"`{name}:` comes twice, at position {at}", expected="each qualifier at most once")
        try:
            found[field] = read(value)
        except ValueError as error:
            raise BadQuery(
                f"the value of `{name}:` at position {at} cannot be read", expected=expected, got=_shown(value)
            ) from error
    return Qualifiers(**found)


def joined(query: str | None, given: Qualifiers) -> Qualifiers:
    """A search narrowed by separate parameters.  Raises BadQuery when both say the same thing."""
    if not query:
        return given
    parsed = parse(query)
    told = {name: value for name, value in asdict(given).items() if value is not None}
    twice = sorted(name for name in told if getattr(parsed, name) is not None)
    if twice:
        raise BadQuery("given in `q` and as a parameter", got=", ".join(twice), action="give each once")
    return replace(parsed, **told)


def read_moment(value: str) -> datetime:
    """A day (its first moment in UTC) or a moment with its offset (RFC 3339).  Raises ValueError."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return datetime.combine(date.fromisoformat(value), time(), UTC)
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment.astimezone(UTC)


def _id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError("not an id")
    return value


def _action(value: str) -> str:
    if not _ACTION.fullmatch(value):
        raise ValueError("not a tag")
    return value


def _shown(text: str) -> str:
    """What may be said back: a word of the caller could be a name."""
    return text if re.fullmatch(r"[a-z_]{1,20}:?", text) else f"{len(text)} characters"


_MOMENT = "a day, 2026-01-01, or a moment, 2026-01-01T08:00:00Z"
_READERS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "actor": ("actor", _id, "the id of a participant"),
    "action": ("action", _action, "a tag, usage:allowed, or a room with its colon, usage:"),
    "asset": ("asset", _id, "the id of an asset"),
    "agreement": ("agreement", _id, "the id of an agreement"),
    "from": ("time_from", read_moment, _MOMENT),
    "to": ("time_to", read_moment, f"{_MOMENT}; exclusive"),
}


def told_scope(db: Session, asked: Qualifiers) -> Json:
    """A search as it may stand in an entry: what the log does not know of it is `unknown`, as it may be free text."""
    known = asked.action is None or any(tag.startswith(asked.action) for tag in Tag)
    return {
        "actor": queries.named(db, Entry.actor, asked.actor),
        "action": asked.action if known else queries.UNKNOWN,
        "asset": queries.named(db, Entry.asset, asked.asset),
        "agreement": queries.named(db, Entry.agreement, asked.agreement),
        "from": timestamp(asked.time_from) if asked.time_from else None,
        "to": timestamp(asked.time_to) if asked.time_to else None,
    }


def record_reading(db: Session, actor: Actor, asked: Qualifiers, rows: Sequence[Entry], now: datetime) -> None:
    """Note which entries an auditor was shown; its own, these notes among them, leave none.

    Records: audit:exported.
    """
    if not actor.has(Role.AUDITOR) or all(row.actor == actor.participant for row in rows):
        return
    scope = told_scope(db, asked)
    about = {name: queries.subject(scope[name]) for name in ("asset", "agreement")}
    facts = {"format": "entries", "scope": scope, "entries": len(rows), "first": rows[0].id, "last": rows[-1].id}
    record(db, actor, Tag.LOG_EXPORTED, now, **about, facts=facts)
