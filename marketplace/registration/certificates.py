"""The verbs of a certificate: prepare, issue, suspend, resume, cancel."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets import service as passport
from marketplace.assets.models import Version
from marketplace.assets.schemas import EvidenceItem, SignatureIn
from marketplace.assets.stages import STAGES, Stage
from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.audit.words import keep_text
from marketplace.costing.service import meter
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import parse_timestamp
from marketplace.kernel.errors import Conflict, Forbidden
from marketplace.kernel.ids import new_id
from marketplace.legal import queries as legal
from marketplace.legal.models import Opinion
from marketplace.legal.rules import months_later
from marketplace.participants import signatures
from marketplace.plumbing import epochs
from marketplace.plumbing.epochs import Stop
from marketplace.registration import codes, document, lapsing, queries, rules, service
from marketplace.registration.models import Application, Certificate, Right
from marketplace.registration.profile import national
from marketplace.registration.rules import APPLICATIONS, CERTIFICATES, CertificateState, State

STOPS = {
    CertificateState.SUSPENDED: Stop.CERTIFICATE_SUSPENDED,
    CertificateState.CANCELLED: Stop.CERTIFICATE_CANCELLED,
}


class StalePreparation(Conflict):
    """The prepared certificate no longer fits the facts."""


class NotYourCertificate(Forbidden):
    """Another registrar issued this certificate."""


class CertificateLapsed(Conflict):
    """The certificate has lapsed by itself."""


def prepare(db: Session, actor: Actor, found: Application, now: datetime) -> Application:
    """Close the notice if the clock allows, give the code, and keep the document for the registrar to sign.

    Asking again makes a fresh document; the code stays while the month does.
    Raises NoticeRunning, WrongState, StalePreparation, NotIndependent, CodesExhausted.
    Records: registration:notice_closed, registration:certificate_prepared.
    """
    queries.lock(db, found)
    asset, version = assets.asset(db, found.asset_id), assets.version(db, found.version_id)

    if found.state == State.NOTICED:
        service.close_notice(db, actor, found, now)
    step = APPLICATIONS.step(State(found.state), State.DEPOSITED, actor.roles)
    opinion = _require_facts(db, found, version, now)

    found.state, found.certificate_code = State.DEPOSITED, codes.code_for(db, found, now)
    content = document.certificate(
        found,
        queries.parties(db, found),
        asset,
        version,
        code=found.certificate_code,
        opinion=opinion.document,
        profile=national().id,
        issued_at=now,
        valid_until=months_later(now, 12 * min(found.form["years"], national().validity_years)),
    )
    found.certificate_document = documents.keep(db, document.KIND, content, now)
    db.add(found)
    db.flush()

    facts = {"application": found.id, "code": found.certificate_code, "document": found.certificate_document}
    record(db, actor, Tag(step.tag), now, asset=asset.id, version=version.id, facts=facts)
    return found


def issue(db: Session, actor: Actor, found: Application, signed: SignatureIn, now: datetime) -> Certificate:
    """Accept the registrar's signature: rights count from now, the version is `certified`.

    Raises WrongState, StalePreparation, NotIndependent, BadSignature, UnknownKey.
    Records: registration:certificate_issued, asset:stage_reached, costing:metered.
    """
    queries.lock(db, found)
    version = assets.version(db, found.version_id)
    assets.lock_version(db, version)

    step = APPLICATIONS.step(State(found.state), State.CERTIFIED, actor.roles)
    opinion = _require_facts(db, found, version, now)
    content = _require_prepared(db, found, signed.document, version, opinion, now)
    signature = signatures.accept(db, actor.participant, signed.document, signed.jws, typ=document.SIGN_AS, now=now)

    found.state = State.CERTIFIED
    certificate = _certificate(found, content, signed.document, now)
    db.add(found)
    db.add(certificate)
    db.flush()
    db.add_all(_rights(found, content))
    epochs.open_epoch(db, certificate.code)
    lapsing.watch(db, certificate, now)

    facts: Json = {"code": certificate.code, "document": certificate.document, "root": certificate.root}
    facts |= {"application": found.id, "rights": [[one["kind"], one["holder"]] for one in content["rights"]]}
    record(db, actor, Tag(step.tag), now, asset=found.asset_id, version=found.version_id, facts=facts)
    _advance(db, actor, found, version, opinion, signature, now)
    _meter(db, actor, certificate, found, now)
    return certificate


def suspend(db: Session, actor: Actor, certificate: Certificate, reason: str, now: datetime) -> Certificate:
    """Freeze a certificate (court order, accepted objection); every use resting on it stops in this transaction.

    Raises NotYourCertificate, CertificateLapsed, WrongState.  Records: registration:certificate_suspended.
    """
    return _change(db, actor, certificate, CertificateState.SUSPENDED, reason, now)


def resume(db: Session, actor: Actor, certificate: Certificate, reason: str, now: datetime) -> Certificate:
    """Lift a suspension.  Records: registration:certificate_resumed."""
    return _change(db, actor, certificate, CertificateState.VALID, reason, now)


def cancel(db: Session, actor: Actor, certificate: Certificate, reason: str, now: datetime) -> Certificate:
    """End a certificate and its rights for good; every use stops.  Records: registration:certificate_cancelled."""
    ended = _change(db, actor, certificate, CertificateState.CANCELLED, reason, now)
    for right in queries.rights(db, certificate.code):
        right.ends_at = min(right.ends_at or now, now)
        db.add(right)
    db.flush()
    return ended


def _require_facts(db: Session, found: Application, version: Version, now: datetime) -> Opinion:
    """What must hold at preparation and again at signature."""
    opinion = legal.valid_opinion(db, version, now)
    if opinion is None or not STAGES.permits(Stage(version.stage), "certify"):
        raise StalePreparation(
            "the version is not certifiable now",
            expected="stage assessed with a valid opinion",
            got=f"stage {version.stage}, {'a valid' if opinion else 'no valid'} opinion",
            action="let a law firm assess the version again",
        )
    service.require_independent(db, found, opinion.firm_id)
    return opinion


def _require_prepared(
    db: Session, found: Application, signed: str, version: Version, opinion: Opinion, now: datetime
) -> Json:
    if signed != found.certificate_document:
        raise StalePreparation(
            "another document was prepared",
            expected=str(found.certificate_document),
            got=signed,
            action="sign that one",
        )
    content = documents.content(db, signed)
    expected = {"version_root": version.root, "opinion": opinion.document}
    issued = parse_timestamp(content["issued_at"])
    same_month = rules.code_prefix("", 0, issued) == rules.code_prefix("", 0, now)
    differing = [name for name, value in expected.items() if content[name] != value]
    if differing or not same_month or issued > now:
        raise StalePreparation(
            "the facts have changed since preparation",
            expected="same root, opinion and month of the code",
            got=", ".join(differing) or "another month",
            action="prepare the certificate again",
        )
    return content


def _certificate(found: Application, content: Json, signed: str, now: datetime) -> Certificate:
    return Certificate(
        code=content["code"],
        application_id=found.id,
        asset_id=found.asset_id,
        version_id=found.version_id,
        root=content["version_root"],
        document=signed,
        registrar_id=found.registrar_id,
        state=CertificateState.VALID,
        state_at=now,
        issued_at=parse_timestamp(content["issued_at"]),
        valid_until=parse_timestamp(content["valid_until"]),
    )


def _rights(found: Application, content: Json) -> list[Right]:
    return [
        Right(
            id=new_id("rgt"),
            asset_id=found.asset_id,
            application_id=found.id,
            kind=one["kind"],
            holder_id=one["holder"],
            starts_at=parse_timestamp(one["from"]),
            ends_at=parse_timestamp(one["until"]),
            limits=one["limits"],
            certificate_code=content["code"],
        )
        for one in content["rights"]
    ]


def _advance(
    db: Session,
    actor: Actor,
    found: Application,
    version: Version,
    opinion: Opinion,
    signature: signatures.Signature,
    now: datetime,
) -> None:
    assert found.certificate_document is not None
    assert found.notice_document is not None
    evidence = [
        EvidenceItem(kind=document.KIND, sha256=found.certificate_document, title=found.certificate_code or ""),
        EvidenceItem(kind="opinion", sha256=opinion.document, title=opinion.number),
        EvidenceItem(kind="application", sha256=found.document, title=found.id),
        EvidenceItem(kind="notice", sha256=found.notice_document),
    ]
    passport.advance(
        db,
        actor,
        version,
        Stage.CERTIFIED,
        now,
        signature=signature,
        document=found.certificate_document,
        evidence=evidence,
        outcome="certified",
    )


def _meter(db: Session, actor: Actor, certificate: Certificate, found: Application, now: datetime) -> None:
    meter(
        db,
        actor,
        "registration.certificate",
        1,
        now,
        key=f"certificate:{certificate.code}",
        asset=found.asset_id,
        version=found.version_id,
        stage=Stage.CERTIFIED,
        payer=found.applicant_id,
        payee=found.registrar_id,
    )


def _change(
    db: Session, actor: Actor, certificate: Certificate, target: CertificateState, reason: str, now: datetime
) -> Certificate:
    queries.lock(db, certificate)

    if actor.participant != certificate.registrar_id:
        raise NotYourCertificate("only the issuing registrar changes it", expected=certificate.registrar_id)
    state = queries.certificate_status(certificate, now)
    if state == CertificateState.LAPSED:
        raise CertificateLapsed("the certificate has lapsed", expected="a running one", got=certificate.code)
    step = CERTIFICATES.step(state, target, actor.roles)

    certificate.state, certificate.state_at, certificate.reason = target, now, reason
    db.add(certificate)
    db.flush()

    readers = (certificate.registrar_id, queries.application(db, certificate.application_id).applicant_id)
    facts = {"code": certificate.code, "words": keep_text(db, reason, now, readers)}
    entry = record(
        db, actor, Tag(step.tag), now, asset=certificate.asset_id, version=certificate.version_id, facts=facts
    )
    if target in STOPS:
        epochs.stop(db, (certificate.version_id, certificate.code), STOPS[target], actor, entry, now)
    return certificate
