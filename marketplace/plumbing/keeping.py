"""A session that keeps the rows it got by their key, so that one transaction does not read the same row twice.

SQLAlchemy forgets a row as soon as nobody holds it, and a verb's checks each ask for what they judge.  A row is kept
until the transaction or a savepoint in it ends, waits for a lock, or changes rows by a statement: whatever may be
otherwise from then on is read anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, TypeVar

from sqlalchemy import event, inspect
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Mapper, ORMExecuteState, SessionTransaction
from sqlalchemy.orm import Session as AnySession
from sqlalchemy.sql.selectable import Select
from sqlmodel import Session

from marketplace.plumbing.loading import loader

ROWS = 256
"""Kept at once, the latest; a transaction that goes through a whole table must not hold it."""
_KEPT = "kept_rows"
_OWN = frozenset({"with_for_update", "populate_existing"})

R = TypeVar("R")


class KeepingSession(Session):
    """A session whose `get` asks the database once for a row, and as cheaply as that can be."""

    def get(self, entity: type[R] | Mapper[R], ident: Any, **options: Any) -> R | None:
        lock, anew = options.get("with_for_update"), options.get("populate_existing")
        others = any(value for name, value in options.items() if name not in _OWN)
        if others or not isinstance(entity, type) or isinstance(ident, dict) or (lock and not anew):
            found = super().get(entity, ident, **options)
        else:
            found = self._by_key(entity, ident if isinstance(ident, tuple) else (ident,), lock, anew=bool(anew))
        if lock:
            forget(self)
        if found is not None:
            self.info.setdefault(_KEPT, deque(maxlen=ROWS)).append(found)
        return found

    def refresh(
        self, instance: object, attribute_names: Iterable[str] | None = None, with_for_update: Any = None
    ) -> None:
        if attribute_names is None:
            self._read_anew(instance, with_for_update)
        else:
            super().refresh(instance, attribute_names, with_for_update)
        if with_for_update:
            forget(self)

    def _by_key(self, model: type[R], key: tuple[Any, ...], lock: Any, *, anew: bool) -> R | None:
        """The object of a row.  anew: it is read whether or not the session has it, and what it has is overwritten."""
        of = loader(model)
        if not anew and of.identity(key) in self.identity_map:
            found: R | None = super().get(model, key)
            return found
        self._autoflush()
        row = of.row(self.connection(), key, lock)
        return None if row is None else of.take(self, row, anew=anew)

    def _read_anew(self, instance: Any, lock: Any) -> None:
        self.expire(instance)
        self._autoflush()
        of, key = loader(type(instance)), inspect(instance).identity
        row = of.row(self.connection(), key, lock)
        if row is None:
            raise InvalidRequestError(f"no row of {type(instance).__name__} has this key any more")
        of.put_into(instance, row)


def forget(db: AnySession) -> None:
    """Let what is asked for from here on be read anew: for whoever has waited for others' transactions."""
    db.info.pop(_KEPT, None)


def _forget_after_statement(state: ORMExecuteState) -> None:
    waits = isinstance(state.statement, Select) and state.statement._for_update_arg is not None
    if waits or state.is_update or state.is_delete:
        forget(state.session)


def _forget_at_end(db: AnySession, ended: SessionTransaction) -> None:
    if ended.nested or ended.parent is None:
        forget(db)


event.listen(KeepingSession, "do_orm_execute", _forget_after_statement)
event.listen(KeepingSession, "after_transaction_end", _forget_at_end)
