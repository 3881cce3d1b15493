"""Duties and proofs of use over HTTP."""

from __future__ import annotations

from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.duties import deletions, queries, reports, shown
from marketplace.negotiation.duties.schemas import (
    DeletionCertificateIn,
    DeletionCertificateOut,
    DutiesOut,
    UseReportIn,
    UseReportOut,
)
from marketplace.plumbing.web import Verb, View, router

routes = router("negotiation")


@routes.get("/agreements/{agreement_id}/duties", operation_id="get_duties")
def get_duties(view: View, agreement_id: str) -> DutiesOut:
    """What the buyer owes and by when, for both parties and auditors."""
    agreement = negotiation.readable_agreement(view.db, view.actor, agreement_id)
    return shown.duties(view.db, agreement, view.now)


@routes.post("/agreements/{agreement_id}/use-reports", status_code=201, operation_id="report_use")
def report_use(verb: Verb, agreement_id: str, asked: UseReportIn) -> UseReportOut:
    """The buyer hands in a signed report of use; differences from the log are named in the answer."""
    agreement = negotiation.own_agreement(verb.db, verb.actor, agreement_id)
    return UseReportOut.model_validate(reports.report_use(verb.db, verb.actor, agreement, asked, verb.now))


@routes.get("/agreements/{agreement_id}/use-reports", operation_id="list_use_reports")
def list_use_reports(view: View, agreement_id: str) -> list[UseReportOut]:
    """The accepted reports in order of their periods, for both parties and auditors."""
    agreement = negotiation.readable_agreement(view.db, view.actor, agreement_id)
    return [UseReportOut.model_validate(one) for one in queries.reports(view.db, agreement.id)]


@routes.post("/agreements/{agreement_id}/deletion-certificates", status_code=201, operation_id="certify_deletion")
def certify_deletion(verb: Verb, agreement_id: str, asked: DeletionCertificateIn) -> DeletionCertificateOut:
    """The buyer hands in a signed certificate that it deleted what was delivered."""
    agreement = negotiation.own_agreement(verb.db, verb.actor, agreement_id)
    made = deletions.certify_deletion(verb.db, verb.actor, agreement, asked, verb.now)
    return DeletionCertificateOut.model_validate(made)


@routes.get("/agreements/{agreement_id}/deletion-certificates", operation_id="list_deletion_certificates")
def list_deletion_certificates(view: View, agreement_id: str) -> list[DeletionCertificateOut]:
    """The accepted certificate of deletion, or none, for both parties and auditors."""
    agreement = negotiation.readable_agreement(view.db, view.actor, agreement_id)
    found = queries.certificate(view.db, agreement.id)
    return [DeletionCertificateOut.model_validate(found)] if found else []
