"""Registration over HTTP: applications for the parties, notices and certificates for everybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from marketplace.assets import queries as assets
from marketplace.assets.schemas import Sha256, SignatureIn
from marketplace.audit import documents
from marketplace.plumbing.bodies import LARGE, takes_body_of
from marketplace.plumbing.paging import MOST, Cursor, Limit
from marketplace.plumbing.web import PublicView, Verb, View, router
from marketplace.registration import certificates, document, objections, queries, service, shown
from marketplace.registration.schemas import (
    ApplicationIn,
    ApplicationOut,
    ApplicationPage,
    CertificateOut,
    ObjectionIn,
    ObjectionOut,
    PreparedCertificate,
    PublicNoticePage,
    ReasonIn,
    RefusalIn,
    ReviewIn,
    SettlementIn,
)

routes = router("registration")


@routes.post("/applications", status_code=201, operation_id="file_application")
@takes_body_of(LARGE)
def file_application(verb: Verb, asked: ApplicationIn) -> ApplicationOut:
    """Apply for the registration of rights on an assessed version."""
    version = assets.own_version(verb.db, verb.actor, asked.version)
    return shown.application(verb.db, service.file(verb.db, verb.actor, version, asked, verb.now), verb.now)


@routes.get("/applications", operation_id="list_applications")
def list_applications(view: View, cursor: Cursor = None, limit: Limit = MOST) -> ApplicationPage:
    """A page of the caller's applications, as applicant or registrar, the first filed first; of all for auditors."""
    found = queries.visible_applications(view.db, view.actor, cursor=cursor, limit=limit)
    return ApplicationPage(items=[shown.application(view.db, one, view.now) for one in found.rows], next=found.next)


@routes.get("/applications/{application_id}", operation_id="get_application")
def get_application(view: View, application_id: str) -> ApplicationOut:
    """One application with its clocks and objections."""
    return shown.application(view.db, queries.own_application(view.db, view.actor, application_id), view.now)


@routes.post("/applications/{application_id}/acceptance", operation_id="accept_application")
def accept_application(verb: Verb, application_id: str) -> ApplicationOut:
    """The registrar accepts; three working days of silence accept as well."""
    found = queries.registrar_application(verb.db, verb.actor, application_id)
    return shown.application(verb.db, service.accept(verb.db, verb.actor, found, verb.now), verb.now)


@routes.post("/applications/{application_id}/return", operation_id="return_application")
def return_application(verb: Verb, application_id: str, asked: ReasonIn) -> ApplicationOut:
    """The registrar returns an incomplete application, naming everything that is missing."""
    found = queries.registrar_application(verb.db, verb.actor, application_id)
    return shown.application(verb.db, service.send_back(verb.db, verb.actor, found, asked.reason, verb.now), verb.now)


@routes.post("/applications/{application_id}/refusal", operation_id="refuse_application")
def refuse_application(verb: Verb, application_id: str, asked: RefusalIn) -> ApplicationOut:
    """The registrar refuses on a ground of article 22."""
    found = queries.registrar_application(verb.db, verb.actor, application_id)
    return shown.application(verb.db, service.refuse(verb.db, verb.actor, found, asked, verb.now), verb.now)


@routes.post("/applications/{application_id}/notice", operation_id="open_notice")
def open_notice(verb: Verb, application_id: str, review: ReviewIn) -> ApplicationOut:
    """The registrar has reviewed and opens five working days of public notice."""
    found = queries.registrar_application(verb.db, verb.actor, application_id)
    return shown.application(verb.db, service.open_notice(verb.db, verb.actor, found, review, verb.now), verb.now)


@routes.post("/applications/{application_id}/objections", status_code=201, operation_id="raise_objection")
def raise_objection(verb: Verb, application_id: str, asked: ObjectionIn) -> ObjectionOut:
    """Object while the notice runs; nothing is issued until the registrar has ruled."""
    found = queries.noticed_application(verb.db, application_id, verb.now)
    return ObjectionOut.model_validate(objections.object_to(verb.db, verb.actor, found, asked, verb.now))


@routes.post("/applications/{application_id}/objections/{objection_id}/settlement", operation_id="settle_objection")
def settle_objection(verb: Verb, application_id: str, objection_id: str, asked: SettlementIn) -> ObjectionOut:
    """The registrar rules on an objection; an upheld one refuses the application."""
    found = queries.registrar_application(verb.db, verb.actor, application_id)
    objection = queries.open_objection(verb.db, found.id, objection_id)
    settled = objections.settle_objection(verb.db, verb.actor, found, objection, asked, verb.now)
    return ObjectionOut.model_validate(settled)


@routes.post("/applications/{application_id}/certificate", operation_id="prepare_certificate")
def prepare_certificate(verb: Verb, application_id: str) -> PreparedCertificate:
    """Close the notice if the clock allows, give the code, and prepare the document for the registrar to sign."""
    found = queries.registrar_application(verb.db, verb.actor, application_id)
    return shown.prepared(verb.db, certificates.prepare(verb.db, verb.actor, found, verb.now))


@routes.post("/applications/{application_id}/certificate/signature", operation_id="sign_certificate")
def sign_certificate(verb: Verb, application_id: str, signed: SignatureIn) -> CertificateOut:
    """Accept the registrar's signature: the certificate is issued and the version is `certified`."""
    found = queries.registrar_application(verb.db, verb.actor, application_id)
    return shown.certificate(verb.db, certificates.issue(verb.db, verb.actor, found, signed, verb.now), verb.now)


@routes.get("/notices", operation_id="list_notices")
def list_notices(view: PublicView, cursor: Cursor = None, limit: Limit = MOST) -> PublicNoticePage:
    """A page of the public notices that run now, the earliest end first."""
    found = queries.running_notices(view.db, view.now, cursor=cursor, limit=limit)
    return PublicNoticePage(items=[shown.notice(view.db, one) for one in found.rows], next=found.next)


@routes.get("/certificates", operation_id="find_certificates")
def find_certificates(view: PublicView, sha256: Annotated[Sha256, Query()]) -> list[CertificateOut]:
    """Check by hash, without login: of a certificate document or of a version root."""
    return [shown.certificate(view.db, one, view.now) for one in queries.certificates_by_hash(view.db, sha256)]


@routes.get("/certificates/{code}", operation_id="get_certificate")
def get_certificate(view: PublicView, code: str) -> CertificateOut:
    """Check by code, without login: valid, suspended, cancelled or lapsed at this moment."""
    return shown.certificate(view.db, queries.certificate(view.db, code), view.now)


@routes.get("/certificates/{code}/document", operation_id="get_certificate_document", response_class=Response)
def get_certificate_document(view: PublicView, code: str) -> Response:
    """The exact bytes that the registrar signed, without login."""
    found = documents.get(view.db, queries.certificate(view.db, code).document)
    return Response(found.body, media_type="application/json", headers={"X-Document-Kind": document.KIND})


@routes.post("/certificates/{code}/suspension", operation_id="suspend_certificate")
def suspend_certificate(verb: Verb, code: str, asked: ReasonIn) -> CertificateOut:
    """Freeze a certificate; every use resting on it stops at once."""
    found = queries.certificate(verb.db, code)
    return shown.certificate(
        verb.db, certificates.suspend(verb.db, verb.actor, found, asked.reason, verb.now), verb.now
    )


@routes.post("/certificates/{code}/resumption", operation_id="resume_certificate")
def resume_certificate(verb: Verb, code: str, asked: ReasonIn) -> CertificateOut:
    """Lift a suspension."""
    found = queries.certificate(verb.db, code)
    return shown.certificate(verb.db, certificates.resume(verb.db, verb.actor, found, asked.reason, verb.now), verb.now)


@routes.post("/certificates/{code}/cancellation", operation_id="cancel_certificate")
def cancel_certificate(verb: Verb, code: str, asked: ReasonIn) -> CertificateOut:
    """End a certificate and its rights for good."""
    found = queries.certificate(verb.db, code)
    return shown.certificate(verb.db, certificates.cancel(verb.db, verb.actor, found, asked.reason, verb.now), verb.now)
