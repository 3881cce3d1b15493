"""How registration shows itself: rows and signed documents as the API's shapes, with clocks computed now."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.assets.schemas import PreparedDocument
from marketplace.audit import documents
from marketplace.kernel.clock import parse_timestamp
from marketplace.legal.rules import months_later
from marketplace.registration import document, queries, service
from marketplace.registration.models import Application, Certificate
from marketplace.registration.profile import national
from marketplace.registration.schemas import (
    ApplicationOut,
    CertificateOut,
    CertificateSignature,
    CertifiedRight,
    NoticeOut,
    ObjectionOut,
    PreparedCertificate,
)
from marketplace.registration.workdays import finish_by, published


def application(db: Session, found: Application, now: datetime) -> ApplicationOut:
    """An application with its clocks and objections."""
    objections = [ObjectionOut.model_validate(one) for one in queries.objections(db, found.id)]
    clocks = {"accept_by": service.accept_by(found), "finish_by": _finish_by(found, objections, now)}
    return ApplicationOut.model_validate(found.model_dump() | clocks | {"objections": objections})


def prepared(db: Session, found: Application) -> PreparedCertificate:
    """What the registrar is to sign."""
    assert found.certificate_document is not None
    content = documents.content(db, found.certificate_document)
    return PreparedCertificate(
        code=content["code"],
        valid_until=parse_timestamp(content["valid_until"]),
        prepared=PreparedDocument(kind=document.KIND, sha256=found.certificate_document, sign_as=document.SIGN_AS),
    )


def notice(db: Session, found: Application) -> NoticeOut:
    """A public notice exactly as its kept document says."""
    assert found.notice_document is not None
    content = documents.content(db, found.notice_document)
    return NoticeOut(
        application_id=found.id,
        registrar=content["registrar"],
        applicant=content["applicant"],
        data_name=content["data_name"],
        overview=content["overview"],
        limits=content["limits"],
        rights=content["rights"],
        notice_from=parse_timestamp(content["from"]),
        notice_until=parse_timestamp(content["until"]),
        document=found.notice_document,
    )


def certificate(db: Session, found: Certificate, now: datetime) -> CertificateOut:
    """A certificate as its signed document says, with what it is worth now."""
    content = documents.content(db, found.document)
    rights = [
        CertifiedRight(
            kind=one["kind"],
            holder=one["holder"],
            name=one["name"],
            credit_code=one["credit_code"],
            starts_at=parse_timestamp(one["from"]),
            ends_at=parse_timestamp(one["until"]),
            limits=one["limits"],
        )
        for one in content["rights"]
    ]
    return CertificateOut(
        code=found.code,
        state=queries.certificate_status(found, now),
        state_at=found.state_at,
        checked_at=now,
        registrar_id=found.registrar_id,
        registrar=content["registrar"]["name"],
        asset_id=found.asset_id,
        asset_name=content["asset"]["name"],
        version_id=found.version_id,
        root=found.root,
        document=found.document,
        rights=rights,
        issued_at=found.issued_at,
        valid_until=found.valid_until,
        renewable_from=months_later(found.valid_until, -national().renewal_window_months),
        signatures=[CertificateSignature.model_validate(one) for one in documents.signatures(db, found.document)],
    )


def _finish_by(found: Application, objections: list[ObjectionOut], now: datetime) -> datetime | None:
    if found.accepted_at is None:
        return None
    pause = None
    if found.notice_from is not None and found.notice_until is not None:
        settled = [one.settled_at or now for one in objections]
        pause = (found.notice_from, max([found.notice_until, *settled]))
    return finish_by(found.accepted_at, national().finish_days, pause, published())
