"""Every re-check of rows against the log, room by room: what `marketplace audit fsck` runs after the log itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from sqlmodel import Session

from marketplace.audit import recheck as audit
from marketplace.audit.recheck import RowFinding
from marketplace.collection import recheck as collection
from marketplace.costing import recheck as costing
from marketplace.ledger import recheck as ledger
from marketplace.plumbing.sqlite import despite_broken_text
from marketplace.plumbing.storage import ObjectStore
from marketplace.transfer import recheck as transfer

ROOMS = (audit.sealed_rows, audit.documents, collection.recheck, costing.recheck, ledger.recheck, transfer.recheck)
OBJECTS = (collection.recheck_objects, transfer.recheck_objects)


def recheck(db: Session, store: ObjectStore | None = None) -> Iterator[RowFinding]:
    """Every row that does not fit the log.  store: when given, every stored file is read and hashed as well."""
    # The sealed tables of all rooms must be known to this process.
    import marketplace.main  # noqa: F401

    for room in ROOMS:
        yield from despite_broken_text(db, partial(_found, room, db))
    if store is not None:
        for objects in OBJECTS:
            yield from despite_broken_text(db, partial(_found, objects, db, store))


def _found(room: Callable[..., Iterator[RowFinding]], *where: object) -> list[RowFinding]:
    return list(room(*where))
