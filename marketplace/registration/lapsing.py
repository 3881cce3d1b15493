"""A certificate ends by itself: every use stops at that second anyway, and here both parties come to know it."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.plumbing import epochs, outbox
from marketplace.plumbing.epochs import Stop
from marketplace.registration import queries
from marketplace.registration.models import Certificate
from marketplace.registration.rules import CertificateState

LAPSE_TASK = "registration.lapse"


def watch(db: Session, certificate: Certificate, now: datetime) -> None:
    """Ask for the certificate's end to be recorded when it comes."""
    outbox.enqueue(
        db, LAPSE_TASK, {"code": certificate.code}, key=certificate.code, now=now, due=certificate.valid_until
    )


def lapse(db: Session, code: str, now: datetime) -> None:
    """Record that a certificate has lapsed and stop what rested on it; a second time, or too early, changes nothing.

    A certificate that was not valid at its end had stopped everything before; a newer one of the same version goes on.
    Records: registration:certificate_lapsed.
    """
    certificate = queries.certificate(db, code)
    queries.lock(db, certificate)
    version = assets.version(db, certificate.version_id)
    assets.lock_version(db, version)  # a newer certificate that comes at this moment is seen, or comes after

    if certificate.state != CertificateState.VALID or certificate.valid_until > now:
        return
    told = epochs.reason_of(db, [code]) == Stop.CERTIFICATE_NOT_VALID
    if told or queries.valid_certificate(db, version, now) is not None:
        return

    facts = {"code": code}
    entry = record(
        db, SERVICE_ACTOR, Tag.CERTIFICATE_LAPSED, now, asset=version.asset_id, version=version.id, facts=facts
    )
    ended = epochs.second(certificate.valid_until)
    epochs.stop(db, (version.id, code), Stop.CERTIFICATE_NOT_VALID, SERVICE_ACTOR, entry, ended)
