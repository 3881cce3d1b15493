"""One-time ids of assertions and proofs: the first use is remembered, every later one refused (threat T12)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql
from sqlmodel import Session, col

from marketplace.kernel.canonical import sha256_hex
from marketplace.participants.compact import BadToken
from marketplace.participants.models import SeenToken
from marketplace.plumbing.keeping import forget
from marketplace.plumbing.sqlite import kept_form, run_bare

_SQLITE = "INSERT INTO seen_token (id, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING"


class Replayed(BadToken):
    """This token was shown before."""


def spend(db: Session, scope: str, owner: str, jti: str, expires_at: datetime) -> None:
    """Remember a one-time id in the present transaction.  Raises Replayed.

    scope and owner: ids of different kinds and owners never meet; expires_at: when the token is refused for its age
    anyway.  The database decides between two at once: the second insert waits for the first and finds its row.
    A refused request is rolled back with everything it did, so its token may be shown again; it had no effect.
    """
    name = sha256_hex(f"{scope}\0{owner}\0{jti}".encode())
    if not _is_new(db, name, expires_at):
        raise Replayed("this `jti` was used before", got=jti, action="sign a fresh one for every request")


def _is_new(db: Session, name: str, expires_at: datetime) -> bool:
    connection = db.connection()
    if connection.dialect.name == "sqlite":
        return run_bare(connection, _SQLITE, (name, kept_form(expires_at))) == 1
    row = postgresql.insert(SeenToken).values(id=name, expires_at=expires_at).on_conflict_do_nothing()
    # The row itself says whether it is new: SQLAlchemy knows no row count of an INSERT on PostgreSQL.
    new = db.exec(row.returning(col(SeenToken.id))).first() is not None
    forget(db)
    return new


def forget_expired(db: Session, now: datetime) -> None:
    """Drop ids whose tokens are refused for their age anyway."""
    db.exec(delete(SeenToken).where(col(SeenToken.expires_at) < now))
