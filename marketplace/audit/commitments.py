"""How a person appears in the log: by a salted commitment that is worth nothing once its salt is erased."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from marketplace.audit.models import Person
from marketplace.kernel.canonical import sha256_hex

SALT_BYTES = 32
# The moment of an act is written at most once a day, so that a busy person's row is no queue of its own.
SEEN_EVERY = timedelta(days=1)


def commit_to(salt: bytes, participant: str, identifier: str) -> str:
    """SHA-256(salt || participant || identifier), hex."""
    return sha256_hex(salt + participant.encode() + identifier.encode())


def commitment(db: Session, participant: str, identifier: str, now: datetime) -> str:
    """The commitment to a participant's person, made with a fresh salt when there is none; notes that the person acts.

    After an erasure the same identifier gets another commitment.
    """
    found = known(db, participant, identifier)
    if found is None:
        _insert(db, participant, identifier, now)
        # Another transaction may have been first; then its row is the one.
        found = known(db, participant, identifier)
    assert found is not None
    if found.acted_at + SEEN_EVERY <= now:
        db.exec(
            update(Person)
            .where(col(Person.commitment) == found.commitment, col(Person.acted_at) < now)
            .values(acted_at=now)
        )
    return found.commitment


def known(db: Session, participant: str, identifier: str) -> Person | None:
    """The person that a participant names so, None before the first act and after an erasure."""
    return db.exec(select(Person).where(Person.participant == participant, Person.identifier == identifier)).first()


def identifier_of(db: Session, commitment: str, participant: str) -> str | None:
    """Whom a participant's own commitment stands for, None when it is unknown or erased."""
    found = db.get(Person, commitment)
    return found.identifier if found is not None and found.participant == participant else None


def _insert(db: Session, participant: str, identifier: str, now: datetime) -> None:
    salt = os.urandom(SALT_BYTES)
    values: dict[str, Any] = {
        "commitment": commit_to(salt, participant, identifier),
        "participant": participant,
        "identifier": identifier,
        "salt": salt,
        "named_at": now,
        "acted_at": now,
    }
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    db.exec(insert(Person).values(**values).on_conflict_do_nothing())
