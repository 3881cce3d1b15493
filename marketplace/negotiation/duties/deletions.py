"""Certificates of deletion: the buyer signs which deliveries it deleted, when and how."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, digest
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.errors import Conflict
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.duties import queries
from marketplace.negotiation.duties.models import DeletionCertificate, Duty
from marketplace.negotiation.duties.reports import require_about, require_buyer
from marketplace.negotiation.duties.rules import DELETION_DUTY, DutyState, Kind
from marketplace.negotiation.duties.schemas import DeletionCertificateIn, DeletionDocument
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import Side
from marketplace.negotiation.steps import record_agreement
from marketplace.participants.signatures import accept

KIND = "deletion-certificate"


class NotEndedYet(Conflict):
    """The agreement is still in force."""


class NotWhatWasDelivered(Conflict):
    """The certificate names other deliveries than the log."""


class MomentOutside(Conflict):
    """The data cannot have been deleted at that moment."""


class AlreadyCertified(Conflict):
    """Another certificate of deletion was accepted for this agreement."""


def certify_deletion(
    db: Session, actor: Actor, agreement: Agreement, asked: DeletionCertificateIn, now: datetime
) -> DeletionCertificate:
    """Take the buyer's signed certificate after the end; the same certificate again is the one that was taken.

    Raises NotTheBuyer, AnotherAgreement, NeverInForce, NotEndedYet, NotWhatWasDelivered, MomentOutside,
    AlreadyCertified, BadSignature, UnknownKey.
    Records: participant:signature_accepted, negotiation:deletion_certified.
    """
    negotiation.lock_agreement(db, agreement)
    content = asked.certificate.model_dump(by_alias=True)
    known, duty = queries.certificate(db, agreement.id), queries.duty(db, agreement.id, Kind.DELETE)

    require_buyer(actor, agreement)
    require_about(asked.certificate.agreement, agreement)
    if known is None:
        _require_deleted(db, agreement, asked.certificate, now)
    elif known.document != digest(content):
        raise AlreadyCertified("an agreement has one certificate of deletion", got=digest(content))

    document = documents.keep(db, KIND, content, now, readers=(agreement.provider_id, agreement.buyer_id))
    accept(db, actor.participant, document, asked.jws, typ=f"{KIND}+jws", now=now)
    if known is not None:
        return known
    certificate = _certificate(asked.certificate, document, duty, now)

    certificate.entry_id = _record(db, actor, agreement, certificate, now)
    db.add(certificate)
    if duty is not None:
        duty.state = DELETION_DUTY.step(DutyState(duty.state), DutyState.MET, [Side.BUYER]).target
        db.add(duty)
    return certificate


def _require_deleted(db: Session, agreement: Agreement, said: DeletionDocument, now: datetime) -> None:
    if queries.term(agreement)[1] > now:
        raise NotEndedYet(
            "deletion is certified after the end of the agreement",
            expected=f"from {timestamp(agreement.ends_at)}, or after a termination",
            action="terminate the agreement first if you need the data no more",
        )
    used = queries.uses(db, agreement.id)
    delivered = sorted({use.manifest for use in used})
    if sorted(said.deliveries) != delivered:
        raise NotWhatWasDelivered(
            "name every delivery that you took, by the hash of its manifest, and no other",
            expected=", ".join(delivered) or "no certificate, since nothing was delivered",
            got=", ".join(sorted(said.deliveries))[:400],
        )
    if not used[-1].at <= parse_timestamp(said.deleted_at) <= now:
        raise MomentOutside(
            "the data was deleted after its last use and before now",
            expected=f"from {timestamp(used[-1].at)} to {timestamp(now)}",
            got=said.deleted_at,
        )


def _certificate(said: DeletionDocument, document: str, duty: Duty | None, now: datetime) -> DeletionCertificate:
    return DeletionCertificate(
        agreement_id=said.agreement.id,
        document=document,
        manifests=sorted(said.deliveries),
        method=said.method,
        deleted_at=parse_timestamp(said.deleted_at),
        late=duty is not None and now > duty.due_at,
        accepted_at=now,
        entry_id="",
    )


def _record(db: Session, actor: Actor, agreement: Agreement, made: DeletionCertificate, now: datetime) -> str:
    facts: Json = {
        "document": made.document,
        "deliveries": made.manifests,
        "method": made.method,
        "deleted_at": timestamp(made.deleted_at),
        "late": made.late,
    }
    return record_agreement(db, actor, Tag.DELETION_CERTIFIED, agreement, facts, now)
