"""Signatures over kept documents: those that participants make outside the service, and the service's own.

Each is recorded in the transaction that accepts it, so that its place in the log says whether a revocation of its key
came before or after; no time that a signer states counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import DocumentSignature
from marketplace.kernel.actor import SERVICE, SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import sha256_hex
from marketplace.kernel.errors import Forbidden
from marketplace.kernel.signing import SigningKey, read_header, verify_detached
from marketplace.participants import queries


class UnknownKey(Forbidden):
    """This key may not sign for this participant."""


@dataclass(frozen=True)
class Signature:
    """An accepted signature: who, with which key and algorithm, the detached JWS itself."""

    signer: str
    kid: str
    alg: str
    jws: str
    at: datetime


def accept(db: Session, participant_id: str, document: str, jws: str, *, typ: str, now: datetime) -> Signature:
    """Check a participant's detached JWS over a kept document and keep the signature beside it.

    document: SHA-256 of a kept document; typ: the JWS header `typ` of this kind, e.g. `opinion+jws`.  The key cannot be
    revoked between the check and the commit.
    Raises NoSuchDocument, BadSignature, or UnknownKey: not registered for this participant or not valid now.
    Records: participant:signature_accepted, unless the signer's signature is kept already.
    """
    kid = str(read_header(jws).get("kid"))
    key = queries.held_live_key(db, participant_id, kid, now)
    if key is None:
        raise UnknownKey(
            "the signing key is not a valid key of this participant",
            expected=f"a registered key of {participant_id}",
            got=kid[:64],
            action="register the key first, or sign with a registered one",
        )
    verify_detached(jws, documents.get(db, document).body, key.jwk, typ=typ)
    signature = DocumentSignature(
        document=document,
        signer=participant_id,
        kid=kid,
        alg=key.alg,
        typ=typ,
        jws=jws,
        jwk=key.jwk,
        signed_at=now,
    )
    _keep(db, Actor(participant_id, frozenset(), kid=kid), signature)
    return Signature(participant_id, kid, key.alg, jws, now)


def sign_as_service(db: Session, document: str, key: SigningKey, *, now: datetime) -> str:
    """Put the service's own signature beside a kept document, once; returns the document's hash again.

    Raises NoSuchDocument.  Records: participant:signature_accepted, unless the service signed it already.
    """
    kept = documents.get(db, document)
    typ = f"{kept.kind}+jws"
    signature = DocumentSignature(
        document=document,
        signer=SERVICE,
        kid=key.kid,
        alg=key.algorithm,
        typ=typ,
        jws=key.sign_detached(kept.body, typ=typ),
        jwk=key.public_jwk,
        signed_at=now,
    )
    _keep(db, SERVICE_ACTOR, signature)
    return document


def _keep(db: Session, actor: Actor, signature: DocumentSignature) -> None:
    if db.get(DocumentSignature, (signature.document, signature.signer)) is not None:
        return
    facts = {
        "document": signature.document,
        "kind": documents.get(db, signature.document).kind,
        "signer": signature.signer,
        "kid": signature.kid,
        "jws_sha256": sha256_hex(signature.jws.encode()),
    }
    signature.entry = record(db, actor, Tag.SIGNATURE_ACCEPTED, signature.signed_at, facts=facts)
    db.add(signature)
    db.flush()
