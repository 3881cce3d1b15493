"""Re-check rows against what the log says of them, and name every row that does not fit.

`fsck` shows that the log is the one that was signed; this shows that the rows the service works with are the ones it
wrote.  Sealed rows are compared here; the books, uses and files have a `recheck` in their own room.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import inspect, literal_column, text
from sqlalchemy import select as sql_select
from sqlalchemy.exc import NoResultFound
from sqlmodel import Session, SQLModel, col, func, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.audit.oddities import odd_values
from marketplace.audit.seals import SEALED, name_of, name_of_key, seal
from marketplace.kernel.canonical import Json, sha256_hex
from marketplace.kernel.errors import DomainError
from marketplace.kernel.signing import verify_detached
from marketplace.plumbing.epochs import EVERY

M = TypeVar("M", bound=SQLModel)
_LAST = 1 << 62
_SIGNATURES = text(
    "SELECT one.document, one.signer, one.jws, one.jwk, one.typ, document.body FROM document_signature AS one "
    "LEFT JOIN document ON document.sha256 = one.document"
)


@dataclass(frozen=True)
class RowFinding:
    """A row that does not fit the log.

    kind: `edited`, `deleted`, `inserted`, or what the room calls it; key: primary key as text; entry: what tells.
    """

    table: str
    key: str
    kind: str
    detail: str
    entry: str | None = None


class Told(NamedTuple):
    """What an entry says of itself, from its body.  at: as `timestamp` writes it; person: a commitment."""

    id: str
    tag: str
    actor: str
    person: str | None
    at: str
    asset: str | None
    version: str | None
    agreement: str | None


def told(db: Session, *tags: Tag, only: Collection[str] | None = None) -> Iterator[tuple[Told, Json]]:
    """Entries of these tags with their facts, in the order of the log; an unreadable one is left to `fsck`.

    only: ids of the entries that are wanted.
    """
    order = func.coalesce(col(Entry.leaf_index), _LAST)
    # As the driver gives them: an odd value in a column must not hide what the others say.
    wanted: Any = sql_select(literal_column("entry.id"), literal_column("entry.body")).select_from(Entry)
    wanted = wanted.where(col(Entry.tag).in_([tag.value for tag in tags])).order_by(order, col(Entry.id))
    if only is not None:
        wanted = wanted.where(col(Entry.id).in_(only))
    for name, body in db.connection().execute(wanted.execution_options(yield_per=1000)):
        found = _told(name, body)
        if found is not None and found[0].tag in tags:
            yield found


def _told(name: str, body: bytes) -> tuple[Told, Json] | None:
    try:
        read = json.loads(body)
        actor, about, facts = read["actor"], read["subject"], read["facts"]
        subject = about["asset"], about["version"], about["agreement"]
        entry = Told(name, read["tag"], actor["participant"], actor.get("person"), read["at"], *subject)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return (entry, facts) if isinstance(facts, dict) else None


def sealed_rows(db: Session) -> Iterator[RowFinding]:
    """Rows of sealed tables that are not as their last seal says.  A log without any seal says nothing."""
    last: dict[tuple[str, str], tuple[str | None, str]] = {}
    for entry, facts in told(db, Tag.ROWS_SEALED):
        for one in facts.get("rows", ()):
            last[one["table"], one["key"]] = one["sha256"], entry.id
    if not last:
        return
    for model in _models().values():
        for row in rows(db, model):
            if isinstance(row, RowFinding):
                last.pop((row.table, row.key), None)
                yield row
                continue
            name = name_of(row)
            try:
                held = seal(row)
            except (ValueError, TypeError):
                held = ""
            yield from _compare(name, held, *last.pop(name, (None, None)))
    for (table, key), (expected, entry_id) in last.items():
        if expected is not None and table in _models():
            yield RowFinding(table, key, "deleted", "a sealed row is missing", entry_id)


def _compare(name: tuple[str, str], held: str, expected: str | None, entry_id: str | None) -> Iterator[RowFinding]:
    if expected is None and name[1] != EVERY:
        yield RowFinding(*name, "inserted", "no entry of the log knows this row", entry_id)
    elif expected is not None and held != expected:
        yield RowFinding(*name, "edited", "the row is not the one that was sealed", entry_id)


def rows(db: Session, model: type[M]) -> Iterator[M | RowFinding]:
    """The rows of a table; a finding in place of one that cannot even be read, e.g. a moment that is none."""
    read = set[tuple[str, str]]()
    try:
        for row in db.exec(select(model).execution_options(yield_per=500)):
            read.add(name_of(row))
            yield row
    except (ValueError, TypeError, ArithmeticError, MemoryError):
        yield from _one_by_one(db, model, read)


def _one_by_one(db: Session, model: type[M], read: Collection[tuple[str, str]]) -> Iterator[M | RowFinding]:
    for key in db.connection().execute(sql_select(*inspect(model).primary_key)).all():
        name = name_of_key(str(model.__tablename__), key)
        if name in read:
            continue
        try:
            yield db.get_one(model, tuple(key))
        except (ValueError, TypeError, ArithmeticError, MemoryError, NoResultFound):
            yield RowFinding(*name, "edited", "the row holds what its columns cannot hold")


def documents(db: Session) -> Iterator[RowFinding]:
    """Documents whose bytes no longer have their hash, signatures that no longer fit their document."""
    bodies = db.connection().execute(text("SELECT sha256, body FROM document").execution_options(yield_per=200))
    for name, body in bodies:
        if not isinstance(body, bytes) or sha256_hex(body) != name:
            yield RowFinding("document", str(name), "edited", "the bytes do not have this hash")
    for one in db.connection().execute(_SIGNATURES.execution_options(yield_per=200)):
        try:
            jwk = json.loads(one.jwk) if isinstance(one.jwk, str) else one.jwk
            verify_detached(one.jws, one.body or b"", jwk, typ=one.typ)
        except (DomainError, ValueError, TypeError, AttributeError, LookupError) as error:
            yield RowFinding("document_signature", f"{one.document}/{one.signer}", "edited", str(error))


def odd_rows(db: Session) -> Iterator[RowFinding]:
    """Rows of any table that hold what their columns cannot hold."""
    for table, key, columns in odd_values(db, _tables()):
        detail = f"{', '.join(f'`{one}`' for one in columns)} holds what the column cannot hold"
        yield RowFinding(table, key, "edited", detail)


def _tables() -> Mapping[str, type[SQLModel]]:
    """The tables that this process has loaded, by name."""
    return {str(one.class_.__tablename__): one.class_ for one in SQLModel._sa_registry.mappers}


def _models() -> Mapping[str, type[SQLModel]]:
    """The sealed ones of them."""
    found = _tables()
    return {name: found[name] for name in sorted(SEALED & set(found))}
