"""Idempotency-Key (IETF draft 07): same key and body replay the first answer, another body is refused with 422.

The row is written in the same transaction as the effect; only finished answers below 500 are kept.  Of a receipt the
promise is kept and not the signature, because that is made after the commit: a replay signs the same promise again, and
as our signatures are deterministic it carries the same receipt, until the service key is rotated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Response
from sqlalchemy import delete, text
from sqlmodel import Field, Session, SQLModel, col

from marketplace.kernel.canonical import sha256_hex
from marketplace.kernel.errors import Invalid
from marketplace.plumbing.db import UtcDateTime
from marketplace.plumbing.runtime import Runtime


class KeyReused(Invalid):
    """This Idempotency-Key was used for another request."""


@dataclass(frozen=True)
class Key:
    """Scope of a key: caller, route with its path values, the key itself, and the hash of the body."""

    participant: str
    route: str
    key: str
    body_hash: str

    @property
    def id(self) -> str:
        return sha256_hex(f"{self.participant}\0{self.route}\0{self.key}".encode())

    @property
    def lock(self) -> int:
        """63 bits of the id, the range of PostgreSQL's advisory locks; a chance equality costs a wait, nothing else."""
        return int(self.id[:16], 16) >> 1


class KeptAnswer(SQLModel, table=True):
    """The first answer to a key.  promise: what its receipt says, None without one."""

    __tablename__ = "idempotency"

    id: str = Field(primary_key=True)
    body_hash: str
    status: int
    media_type: str
    body: bytes
    location: str | None = None
    promise: str | None = None
    kept_at: datetime = Field(sa_type=UtcDateTime, index=True)


def replay(db: Session, key: Key, receipt: Callable[[str], str]) -> Response | None:
    """The kept answer of a key, or None for a new one.  Raises KeyReused when the body differs.

    receipt: signs what was promised.
    A second request with the key waits here until the first has committed or failed.
    """
    _wait_for_others(db, key)
    kept = db.get(KeptAnswer, key.id)
    if kept is None:
        return None
    if kept.body_hash != key.body_hash:
        raise KeyReused(
            "the same Idempotency-Key came with another body",
            expected=f"body with SHA-256 {kept.body_hash}",
            got=key.body_hash,
            action="use a new key for a new intent",
        )
    headers = {"Idempotency-Replayed": "true"} | ({"Location": kept.location} if kept.location else {})
    if kept.promise is not None:
        headers["Receipt"] = receipt(kept.promise)
    return Response(kept.body, status_code=kept.status, media_type=kept.media_type, headers=headers)


def _wait_for_others(db: Session, key: Key) -> None:
    # SQLite lets one write transaction in at a time anyway.
    if db.get_bind().dialect.name == "postgresql":
        db.connection().execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": key.lock})


def keep(db: Session, key: Key, response: Response, promise: str | None, now: datetime) -> None:
    """Store an answer, and what its receipt promises, in the present transaction."""
    db.add(
        KeptAnswer(
            id=key.id,
            body_hash=key.body_hash,
            status=response.status_code,
            media_type=response.headers.get("content-type", "application/json"),
            body=bytes(response.body),
            location=response.headers.get("location"),
            promise=promise,
            kept_at=now,
        )
    )


def forget_old_answers(runtime: Runtime) -> None:
    """Delete the answers that are older than `settings.idempotency_days`."""
    limit = runtime.clock.now() - timedelta(days=runtime.settings.idempotency_days)
    with runtime.database.transaction() as db:
        db.exec(delete(KeptAnswer).where(col(KeptAnswer.kept_at) < limit))
