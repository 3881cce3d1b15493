"""Idempotency-Key (IETF draft 07): same key and body replay the first answer, another body is refused with 422.

The row is written in the same transaction as the effect; only finished answers below 500 are kept.  Of a receipt the
promise is kept and not the signature, because that is made after the commit: a replay signs the same promise again, and
as our signatures are deterministic it carries the same receipt, until the service key is rotated.

Every row carries a mark that only this instance can make: a replay is signed and served as the service's own word, so
whoever can write to the database must not be able to put words there.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Response
from sqlalchemy import delete, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, col

from marketplace.kernel.canonical import canonical, sha256_hex
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict, Invalid
from marketplace.plumbing.db import UtcDateTime
from marketplace.plumbing.keeping import forget
from marketplace.plumbing.runtime import Runtime


class AnswerAltered(Conflict):
    """The kept answer to this key is not the one that was given."""


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
    """The first answer to a key.  promise: what its receipt says, None without one; mark: over all the others, hex."""

    __tablename__ = "idempotency"

    id: str = Field(primary_key=True)
    body_hash: str
    status: int
    media_type: str
    body: bytes
    location: str | None = None
    promise: str | None = None
    kept_at: datetime = Field(sa_type=UtcDateTime, index=True)
    mark: str = ""

    def marked(self, secret: bytes) -> str:
        """The mark that this row must carry."""
        told = [self.id, self.body_hash, self.status, self.media_type, sha256_hex(self.body), self.location]
        octets = canonical([*told, self.promise, timestamp(self.kept_at)])
        return hmac.new(secret, b"kept answer\0" + octets, hashlib.sha256).hexdigest()


def replay(db: Session, key: Key, secret: bytes, receipt: Callable[[str], str]) -> Response | None:
    """The kept answer of a key, or None for a new one.  Raises KeyReused when the body differs, AnswerAltered.

    secret: of this instance; receipt: signs what was promised.
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
    if not hmac.compare_digest(kept.mark, kept.marked(secret)):
        raise AnswerAltered(
            "the answer that was kept for this key is not the one that was given",
            got=key.key,
            action="read the thing itself, and tell the operator to run `marketplace audit fsck`",
        )
    headers = {"Idempotency-Replayed": "true"} | ({"Location": kept.location} if kept.location else {})
    if kept.promise is not None:
        headers["Receipt"] = receipt(kept.promise)
    return Response(kept.body, status_code=kept.status, media_type=kept.media_type, headers=headers)


def _wait_for_others(db: Session, key: Key) -> None:
    # SQLite lets one write transaction in at a time anyway.
    if db.get_bind().dialect.name == "postgresql":
        db.connection().execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": key.lock})
        forget(db)


def keep(db: Session, key: Key, secret: bytes, response: Response, promise: str | None, now: datetime) -> None:
    """Store an answer, and what its receipt promises, in the present transaction; the first one of a key stays.

    secret: of this instance.
    """
    kept = KeptAnswer(
        id=key.id,
        body_hash=key.body_hash,
        status=response.status_code,
        media_type=response.headers.get("content-type", "application/json"),
        body=bytes(response.body),
        location=response.headers.get("location"),
        promise=promise,
        kept_at=now,
    )
    kept.mark = kept.marked(secret)
    # A verb that waits for others commits before: nobody with the same key waits for it any more (see `replay`).
    insert = sqlite.insert if db.get_bind().dialect.name == "sqlite" else postgresql.insert
    db.exec(insert(KeptAnswer).values(**kept.model_dump()).on_conflict_do_nothing(index_elements=["id"]))


def forget_old_answers(runtime: Runtime) -> None:
    """Delete the answers that are older than `settings.idempotency_days`."""
    limit = runtime.clock.now() - timedelta(days=runtime.settings.idempotency_days)
    with runtime.database.transaction() as db:
        db.exec(delete(KeptAnswer).where(col(KeptAnswer.kept_at) < limit))
