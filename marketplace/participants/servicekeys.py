"""The verbs of the instance's own key: record it, replace it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlmodel import Session, select

from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Entry
from marketplace.audit.statements import ROTATION
from marketplace.kernel.actor import SERVICE, SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict
from marketplace.kernel.signing import SigningKey
from marketplace.participants.signatures import sign_as_service


class ServiceKeyRevoked(Conflict):
    """The log says that this instance's own key was replaced."""


def register(db: Session, key: SigningKey, now: datetime) -> None:
    """Record the instance's own public key once, so that whoever checks a manifest can tell whose key signed it.

    Raises ServiceKeyRevoked: an old key file was restored.  Records: participant:key_registered.
    """
    if _named(db, Tag.KEY_REVOKED, key.kid):
        raise ServiceKeyRevoked(
            "the service key in the data folder was replaced by another",
            got=key.kid,
            action="bring back the newest `service-key.pem`",
        )
    if not _named(db, Tag.KEY_REGISTERED, key.kid):
        facts = {"participant": SERVICE, "kid": key.kid, "alg": key.algorithm, "jwk": key.public_jwk}
        record(db, SERVICE_ACTOR, Tag.KEY_REGISTERED, now, facts=facts)


def rotate(
    db: Session, old: SigningKey, new: SigningKey, reason: Literal["planned", "compromised"], now: datetime
) -> str:
    """Let a new key follow; returns the hash of the statement, which the old key signed.  Again changes nothing.

    From the entry that revokes the old key on, nothing that it signs counts.
    Records: participant:key_registered, audit:key_rotated, participant:key_revoked.
    """
    content: Json = {
        "type": ROTATION,
        "role": "service",
        "old": old.public_jwk,
        "new": new.public_jwk,
        "reason": reason,
        "at": timestamp(now),
    }
    if _named(db, Tag.KEY_REVOKED, old.kid):
        return ""
    statement = documents.keep(db, ROTATION, content, now)
    register(db, old, now)
    register(db, new, now)
    sign_as_service(db, statement, old, now=now)
    facts: Json = {"role": "service", "old": old.kid, "new": new.kid, "reason": reason, "statement": statement}
    record(db, SERVICE_ACTOR, Tag.KEY_ROTATED, now, facts=facts)
    ended = {"participant": SERVICE, "kid": old.kid, "reason": f"rotated_{reason}"}
    record(db, SERVICE_ACTOR, Tag.KEY_REVOKED, now, facts=ended)
    return statement


def _named(db: Session, tag: Tag, kid: str) -> bool:
    """Whether an entry of the service about this key id has the tag."""
    rows = db.exec(select(Entry.body).where(Entry.tag == tag.value, Entry.actor == SERVICE))
    return any(kid.encode() in body for body in rows)
