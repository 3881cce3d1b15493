"""One-time ids of assertions and proofs: the first use is remembered, every later one refused (threat T12)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from marketplace.kernel.canonical import sha256_hex
from marketplace.participants.compact import BadToken
from marketplace.participants.models import SeenToken
from marketplace.plumbing.db import Database


class Replayed(BadToken):
    """This token was shown before."""


def spend(db: Session, scope: str, owner: str, jti: str, expires_at: datetime) -> None:
    """Remember a one-time id in the present transaction.  Raises Replayed.

    scope and owner: ids of different kinds and owners never meet; expires_at: when the token is refused for its age
    anyway.  The database decides between two at once: the second insert waits for the first and finds its row.
    A refused request is rolled back with everything it did, so its token may be shown again; it had no effect.
    """
    name = sha256_hex(f"{scope}\0{owner}\0{jti}".encode())
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = insert(SeenToken).values(id=name, expires_at=expires_at).on_conflict_do_nothing()
    # The row itself says whether it is new: SQLAlchemy knows no row count of an INSERT on PostgreSQL.
    if db.exec(row.returning(col(SeenToken.id))).first() is None:
        raise Replayed("this `jti` was used before", got=jti, action="sign a fresh one for every request")


def spend_at_once(database: Database, scope: str, owner: str, jti: str, expires_at: datetime) -> None:
    """Remember a one-time id in a transaction of its own: for requests that only read.

    A reading transaction has its snapshot already; on SQLite it could not begin to write beside other writers, and if
    it could it would hold the only write lock until the answer is ready.
    """
    with database.transaction() as db:
        spend(db, scope, owner, jti, expires_at)


def forget_expired(db: Session, now: datetime) -> None:
    """Drop ids whose tokens are refused for their age anyway."""
    db.exec(delete(SeenToken).where(col(SeenToken.expires_at) < now))
