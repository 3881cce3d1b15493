"""Accepting a signature that a participant made outside the service with its own key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.models import DocumentSignature
from marketplace.kernel.errors import Forbidden
from marketplace.kernel.signing import read_header, verify_detached
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

    document: SHA-256 of a kept document; typ: the JWS header `typ` of this kind, e.g. `opinion+jws`.
    Raises NoSuchDocument, BadSignature, or UnknownKey: not registered for this participant or not valid now.
    """
    kid = str(read_header(jws).get("kid"))
    key = queries.live_key(db, participant_id, kid, now)
    if key is None:
        raise UnknownKey(
            "the signing key is not a valid key of this participant",
            expected=f"a registered key of {participant_id}",
            got=kid[:64],
            action="register the key first, or sign with a registered one",
        )
    verify_detached(jws, documents.get(db, document).body, key.jwk, typ=typ)
    if db.get(DocumentSignature, (document, participant_id)) is None:
        db.add(
            DocumentSignature(
                document=document,
                signer=participant_id,
                kid=kid,
                alg=key.alg,
                typ=typ,
                jws=jws,
                jwk=key.jwk,
                signed_at=now,
            )
        )
        db.flush()
    return Signature(participant_id, kid, key.alg, jws, now)
