"""Every re-check of rows against the log, room by room: what `marketplace audit fsck` runs after the log itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlmodel import Session

from marketplace.accounting import recheck as accounting
from marketplace.audit import recheck as audit
from marketplace.audit import recheck_persons
from marketplace.audit.recheck import RowFinding
from marketplace.charging import recheck as charging
from marketplace.collection import recheck as collection
from marketplace.costing import recheck as costing
from marketplace.ledger import recheck as ledger
from marketplace.plumbing.sqlite import despite_broken_text
from marketplace.plumbing.storage import ObjectStore
from marketplace.registration import recheck as registration
from marketplace.transfer import recheck as transfer

ROOMS = (
    audit.odd_rows,
    audit.sealed_rows,
    audit.documents,
    recheck_persons.persons,
    collection.recheck,
    charging.recheck,
    costing.recheck,
    ledger.recheck,
    accounting.recheck,
    registration.recheck,
    transfer.recheck,
)
OBJECTS = (collection.recheck_objects, transfer.recheck_objects)


def recheck(db: Session, store: ObjectStore | None = None) -> Iterator[RowFinding]:
    """Every row that does not fit the log.  store: when given, every stored file is read and hashed as well."""
    # The sealed tables of all rooms must be known to this process.
    import marketplace.main  # noqa: F401

    for room in ROOMS:
        yield from _found(db, room, db)
    if store is not None:
        for objects in OBJECTS:
            yield from _found(db, objects, db, store)


def _found(db: Session, room: Callable[..., Iterator[RowFinding]], *where: object) -> list[RowFinding]:
    """What a room finds; one that stumbles over a value, which `odd_rows` names, does not stop the others."""
    found: list[RowFinding] = []

    def check() -> None:
        found.clear()  # it may be asked twice
        for one in room(*where):
            found.append(one)  # noqa: PERF402 - what was found before it stumbled stays

    try:
        despite_broken_text(db, check)
    except Exception as error:  # noqa: BLE001 - whatever a changed row makes of it
        db.rollback()
        name = room.__module__.split(".")[1]
        detail = f"the check ended early at a value that it cannot read: {type(error).__name__}"
        found.append(RowFinding(name, room.__name__, "unchecked", detail))
    return found
