"""Several questions answered from one snapshot: what one of them has read, the others need not read again.

Inside the block every marked query gives the same answer for the same arguments, as it must within one transaction that
sees one state of the database; outside it each call asks the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from sqlmodel import Session

P = ParamSpec("P")
R = TypeVar("R")
Query = Callable[Concatenate[Session, P], R]
_KEPT = "snapshot"
_VALUES = frozenset({str, tuple, datetime})


@contextmanager
def snapshot(db: Session) -> Iterator[None]:
    """Let marked queries of a session remember their answers until the block ends."""
    db.info[_KEPT] = {}
    try:
        yield
    finally:
        del db.info[_KEPT]


def once_per_snapshot(query: Query[P, R]) -> Query[P, R]:
    """Mark a query that only reads; its arguments are rows, texts, moments, or tuples of texts."""
    name = query.__qualname__

    @wraps(query)
    def ask(db: Session, *args: P.args, **kwargs: P.kwargs) -> R:
        kept: dict[Any, Any] | None = db.info.get(_KEPT)
        if kept is None:
            return query(db, *args, **kwargs)
        found: tuple[Any, R] | None = kept.get(key := _key(name, args, kwargs))
        if found is None:
            # The arguments live on, so that no other row gets their id.
            found = kept[key] = args, query(db, *args, **kwargs)
        return found[1]

    return cast("Query[P, R]", ask)


def remember(db: Session, query: Callable[..., R], answer: R, *args: Any) -> None:
    """Keep an answer of a marked query that was read together with others."""
    db.info[_KEPT][_key(query.__qualname__, args, {})] = args, answer


def _key(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    # By its type, because to ask whether one is a row costs more than the rest of this.
    if len(args) == 1 and not kwargs:
        (only,) = args  # most of them: a list for one costs as much again
        return name, only if type(only) in _VALUES else id(only)
    known = [one if type(one) in _VALUES else id(one) for one in args]
    return (name, *known, *sorted(kwargs.items())) if kwargs else (name, *known)
