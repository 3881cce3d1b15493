"""Documents that are signed or cited as evidence: kept by the SHA-256 of their canonical bytes, with signatures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from marketplace.audit.models import Document, DocumentSignature
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json, canonical, read_strictly, sha256_hex
from marketplace.kernel.errors import NotFound
from marketplace.plumbing.questions import Objects
from marketplace.plumbing.snapshots import once_per_snapshot

EVERYBODY = ("*",)
_SIGNATURES = Objects(
    DocumentSignature,
    select(DocumentSignature)
    .where(col(DocumentSignature.document) == bindparam("document"))
    .order_by(col(DocumentSignature.signed_at), col(DocumentSignature.signer)),
)


class NoSuchDocument(NotFound):
    """No such document."""


def keep(db: Session, kind: str, document: Json, now: datetime, *, readers: Sequence[str] = EVERYBODY) -> str:
    """Keep a document; returns its SHA-256, the name it is signed and cited by.

    readers: participant ids, or everybody; keeping the same bytes again changes nothing.
    """
    body = canonical(document)
    name = sha256_hex(body)
    if db.get(Document, name) is None:
        db.add(Document(sha256=name, kind=kind, body=body, readers=list(readers), created_at=now))
        db.flush()
    return name


def get(db: Session, sha256: str) -> Document:
    """A document by hash: for other rooms.  Raises NoSuchDocument."""
    found = db.get(Document, sha256)
    if found is None:
        raise NoSuchDocument("no document with this hash", got=sha256)
    return found


def get_for(db: Session, actor: Actor, sha256: str) -> Document:
    """A document that the caller may read.  Raises NoSuchDocument."""
    found = get(db, sha256)
    if "*" in found.readers or actor.participant in found.readers or actor.has(Role.AUDITOR):
        return found
    raise NoSuchDocument("no document with this hash", got=sha256)


def content(db: Session, sha256: str) -> Json:
    """The parsed content of a document."""
    parsed: Json = read_strictly(get(db, sha256).body)
    return parsed


@once_per_snapshot
def signatures(db: Session, sha256: str) -> Sequence[DocumentSignature]:
    """The accepted signatures of a document in order of signing."""
    return _SIGNATURES.all(db, document=sha256)
