"""Re-check rows against what the log says of them, and name every row that does not fit.

`fsck` shows that the log is the one that was signed; this shows that the rows the service works with are the ones it
wrote.  Sealed rows are compared here; the books, uses and files have a `recheck` in their own room.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import inspect
from sqlalchemy import select as sql_select
from sqlmodel import Session, SQLModel, col, func, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Document, DocumentSignature, Entry
from marketplace.audit.seals import SEALED, name_of, name_of_key, seal
from marketplace.kernel.canonical import Json, sha256_hex
from marketplace.kernel.errors import DomainError
from marketplace.kernel.signing import verify_detached
from marketplace.plumbing.epochs import EVERY

_LAST = 1 << 62


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


def told(db: Session, *tags: Tag, only: Collection[str] | None = None) -> Iterator[tuple[Entry, Json]]:
    """Entries of these tags with their facts, in the order of the log; an unreadable one is left to `fsck`.

    only: ids of the entries that are wanted.
    """
    order = func.coalesce(col(Entry.leaf_index), _LAST)
    rows = select(Entry).where(col(Entry.tag).in_([tag.value for tag in tags])).order_by(order, col(Entry.id))
    if only is not None:
        rows = rows.where(col(Entry.id).in_(only))
    for entry in db.exec(rows.execution_options(yield_per=1000)):
        try:
            facts = json.loads(entry.body)["facts"]
        except (ValueError, KeyError, TypeError):
            continue
        yield entry, facts


def sealed_rows(db: Session) -> Iterator[RowFinding]:
    """Rows of sealed tables that are not as their last seal says.  A log without any seal says nothing."""
    last: dict[tuple[str, str], tuple[str | None, str]] = {}
    for entry, facts in told(db, Tag.ROWS_SEALED):
        for one in facts.get("rows", ()):
            last[one["table"], one["key"]] = one["sha256"], entry.id
    if not last:
        return
    for model in _models().values():
        for row in _rows(db, model):
            if isinstance(row, RowFinding):
                last.pop((row.table, row.key), None)
                yield row
                continue
            name = name_of(row)
            yield from _compare(name, seal(row), *last.pop(name, (None, None)))
    for (table, key), (expected, entry_id) in last.items():
        if expected is not None and table in _models():
            yield RowFinding(table, key, "deleted", "a sealed row is missing", entry_id)


def _compare(name: tuple[str, str], held: str, expected: str | None, entry_id: str | None) -> Iterator[RowFinding]:
    if expected is None and name[1] != EVERY:
        yield RowFinding(*name, "inserted", "no entry of the log knows this row", entry_id)
    elif expected is not None and held != expected:
        yield RowFinding(*name, "edited", "the row is not the one that was sealed", entry_id)


def _rows(db: Session, model: type[SQLModel]) -> Iterator[SQLModel | RowFinding]:
    """The rows of a table; a finding in place of one that cannot even be read, e.g. a moment that is none."""
    read = set[tuple[str, str]]()
    try:
        for row in db.exec(select(model).execution_options(yield_per=500)):
            read.add(name_of(row))
            yield row
    except (ValueError, TypeError):
        yield from _one_by_one(db, model, read)


def _one_by_one(
    db: Session, model: type[SQLModel], read: Collection[tuple[str, str]]
) -> Iterator[SQLModel | RowFinding]:
    for key in db.connection().execute(sql_select(*inspect(model).primary_key)).all():
        name = name_of_key(str(model.__tablename__), key)
        if name in read:
            continue
        try:
            yield db.get_one(model, tuple(key))
        except (ValueError, TypeError):
            yield RowFinding(*name, "edited", "the row holds what its columns cannot hold")


def documents(db: Session) -> Iterator[RowFinding]:
    """Documents whose bytes no longer have their hash, signatures that no longer fit their document."""
    for document in db.exec(select(Document).execution_options(yield_per=200)):
        if sha256_hex(document.body) != document.sha256:
            yield RowFinding("document", document.sha256, "edited", "the bytes do not have this hash")
    for one in db.exec(select(DocumentSignature).execution_options(yield_per=200)):
        body = db.exec(select(Document.body).where(Document.sha256 == one.document)).first()
        try:
            verify_detached(one.jws, body or b"", one.jwk, typ=one.typ)
        except DomainError as error:
            yield RowFinding("document_signature", f"{one.document}/{one.signer}", "edited", str(error))


def _models() -> Mapping[str, type[SQLModel]]:
    """The sealed tables that this process has loaded, by name."""
    mappers = SQLModel._sa_registry.mappers
    found = {str(one.class_.__tablename__): one.class_ for one in mappers}
    return {name: found[name] for name in sorted(SEALED & set(found))}
