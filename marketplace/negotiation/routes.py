"""Requests and agreements over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import Query, Request, Response
from fastapi.responses import PlainTextResponse

from marketplace.assets.schemas import SignatureIn
from marketplace.audit import documents
from marketplace.negotiation import queries, service, signing, stopping
from marketplace.negotiation.agreement import agreement_text
from marketplace.negotiation.contract import Signature, contract_pdf
from marketplace.negotiation.differences import differences, paper_of_agreement
from marketplace.negotiation.replies import agreement_out, refused
from marketplace.negotiation.rounds.shown import request_out, requests_out
from marketplace.negotiation.rules import Refusal
from marketplace.negotiation.schemas import (
    AgreementOut,
    AgreementPage,
    ApprovalIn,
    DifferenceOut,
    RequestIn,
    RequestOut,
    RequestPage,
    ResubmissionIn,
    WhyIn,
)
from marketplace.negotiation.steps import topic_of
from marketplace.negotiation.succession import answering
from marketplace.negotiation.succession import queries as succession
from marketplace.participants.authentication import require_still
from marketplace.plumbing.conditional import UNCHANGED, IfNoneMatch, answer_of
from marketplace.plumbing.paging import MOST, Cursor, Limit
from marketplace.plumbing.turns import waits_for_changes
from marketplace.plumbing.waiting import Wait, Waiting
from marketplace.plumbing.web import Verb, View, router

routes = router("negotiation")


@routes.post("/requests", status_code=201, operation_id="request_access", response_model=RequestOut)
def request_access(verb: Verb, asked: RequestIn) -> RequestOut | Response:
    """Ask for access under a listing; a refusal is a recorded 403 with its reason codes."""
    answer = service.request_access(verb.db, verb.actor, asked, verb.now)
    if isinstance(answer, Refusal):
        return refused(answer)
    return request_out(verb.db, answer)


@routes.get("/requests", operation_id="list_requests", response_model=RequestPage, responses=UNCHANGED)
@waits_for_changes
async def list_requests(
    view: View,
    request: Request,
    state: Annotated[str | None, Query(max_length=40, description="Only those in this state, e.g. OFFERED.")] = None,
    cursor: Cursor = None,
    limit: Limit = MOST,
    held: IfNoneMatch = None,
    wait: Wait = 0,
) -> Response:
    """A page of the caller's requests as buyer and as provider, the latest first.

    With `wait` and the ETag of the last answer it is answered as soon as one of them has moved.
    """

    def look() -> Response:
        found = queries.request_page(view.db, view.actor, state, cursor=cursor, limit=limit)
        return answer_of(RequestPage(items=requests_out(view.db, found.rows), next=found.next), held)

    judge = partial(require_still, view.db, view.actor, view.runtime)
    return await Waiting.until_changed(request, view, topic_of(view.actor.participant), look, wait, judge)


@routes.get("/requests/{request_id}", operation_id="get_request", response_model=RequestOut, responses=UNCHANGED)
@waits_for_changes
async def get_request(
    view: View, request: Request, request_id: str, held: IfNoneMatch = None, wait: Wait = 0
) -> Response:
    """One request in which the caller is a party.

    With `wait` and the ETag of the last answer it is answered as soon as somebody has moved.
    """

    def look() -> Response:
        return answer_of(request_out(view.db, queries.own_request(view.db, view.actor, request_id)), held)

    judge = partial(require_still, view.db, view.actor, view.runtime)
    return await Waiting.until_changed(request, view, topic_of(view.actor.participant), look, wait, judge)


@routes.post("/requests/{request_id}/approval", status_code=201, operation_id="approve_request")
def approve_request(verb: Verb, request_id: str, asked: ApprovalIn) -> AgreementOut:
    """The provider says yes: the agreement is drafted, ready for both signatures."""
    request = queries.own_request(verb.db, verb.actor, request_id)
    return agreement_out(verb.db, service.approve(verb.db, verb.actor, request, asked, verb.now))


@routes.post("/requests/{request_id}/return", operation_id="return_request")
def return_request(verb: Verb, request_id: str, why: WhyIn) -> RequestOut:
    """The provider gives a request back for completion."""
    request = queries.own_request(verb.db, verb.actor, request_id)
    return request_out(verb.db, service.return_for_completion(verb.db, verb.actor, request, why, verb.now))


@routes.post("/requests/{request_id}/resubmission", operation_id="resubmit_request")
def resubmit_request(verb: Verb, request_id: str, asked: ResubmissionIn) -> RequestOut:
    """The buyer completes a returned request."""
    request = queries.own_request(verb.db, verb.actor, request_id)
    return request_out(verb.db, service.resubmit(verb.db, verb.actor, request, asked, verb.now))


@routes.post("/requests/{request_id}/decline", operation_id="decline_request")
def decline_request(verb: Verb, request_id: str, why: WhyIn) -> RequestOut:
    """The provider declines, or the buyer withdraws."""
    request = queries.own_request(verb.db, verb.actor, request_id)
    return request_out(verb.db, service.end_negotiation(verb.db, verb.actor, request, why, verb.now))


@routes.get("/agreements", operation_id="list_agreements")
def list_agreements(view: View, cursor: Cursor = None, limit: Limit = MOST) -> AgreementPage:
    """A page of the caller's agreements, the latest first; of all for auditors."""
    found = queries.agreements_of(view.db, view.actor, cursor=cursor, limit=limit)
    return AgreementPage(items=[agreement_out(view.db, one) for one in found.rows], next=found.next)


@routes.get("/agreements/{agreement_id}", operation_id="get_agreement")
def get_agreement(view: View, agreement_id: str) -> AgreementOut:
    """One agreement with its signatures, for its parties and auditors."""
    return agreement_out(view.db, queries.readable_agreement(view.db, view.actor, agreement_id))


@routes.get("/agreements/{agreement_id}/text", operation_id="get_agreement_text", response_class=PlainTextResponse)
def get_agreement_text(
    view: View, agreement_id: str, lang: Annotated[Literal["zh", "en"], Query()] = "zh"
) -> PlainTextResponse:
    """The contract as plain text, from the signed document itself."""
    agreement = queries.readable_agreement(view.db, view.actor, agreement_id)
    text = agreement_text(documents.content(view.db, agreement.document), lang)
    return PlainTextResponse(text, headers={"Content-Language": lang})


@routes.get("/agreements/{agreement_id}/contract.pdf", operation_id="get_agreement_pdf", response_class=Response)
def get_agreement_pdf(view: View, agreement_id: str) -> Response:
    """The contract as PDF in both languages, from the signed document itself; the same bytes every time."""
    agreement = queries.readable_agreement(view.db, view.actor, agreement_id)
    signatures = [Signature(one.signer, one.jws, one.jwk) for one in documents.signatures(view.db, agreement.document)]
    pdf = contract_pdf(documents.get(view.db, agreement.document).body, signatures)
    headers = {"Content-Disposition": f'attachment; filename="{agreement.id}.pdf"'}
    return Response(pdf, media_type="application/pdf", headers=headers)


@routes.get("/agreements/{agreement_id}/differences/{earlier_id}", operation_id="compare_agreements")
def compare_agreements(view: View, agreement_id: str, earlier_id: str) -> list[DifferenceOut]:
    """What this agreement says otherwise than an earlier one, in words; empty when nothing differs."""
    old, new = (queries.readable_agreement(view.db, view.actor, one) for one in (earlier_id, agreement_id))
    papers = [paper_of_agreement(documents.content(view.db, one.document)) for one in (old, new)]
    return [DifferenceOut.model_validate(one) for one in differences(*papers)]


@routes.post("/agreements/{agreement_id}/signature", operation_id="sign_agreement")
def sign_agreement(verb: Verb, agreement_id: str, signature: SignatureIn) -> AgreementOut:
    """A party signs; with the second signature the agreement is in force."""
    agreement = queries.own_agreement(verb.db, verb.actor, agreement_id)
    follows = succession.succession(verb.db, agreement.id)
    if follows is not None:
        answering.sign(verb.db, verb.actor, agreement, follows, signature, verb.now)
    else:
        signing.sign(verb.db, verb.actor, agreement, signature, verb.now)
    return agreement_out(verb.db, agreement)


@routes.post("/agreements/{agreement_id}/suspension", operation_id="suspend_agreement")
def suspend_agreement(verb: Verb, agreement_id: str, why: WhyIn) -> AgreementOut:
    """Either party stops every use for a time; running uses stop at once.  It then signs its act."""
    agreement = queries.own_agreement(verb.db, verb.actor, agreement_id)
    return agreement_out(verb.db, stopping.suspend(verb.db, verb.actor, agreement, why, verb.now))


@routes.post("/agreements/{agreement_id}/resumption", operation_id="resume_agreement")
def resume_agreement(verb: Verb, agreement_id: str, why: WhyIn) -> AgreementOut:
    """The party that suspended the agreement prepares to let uses begin again: they do when it signs its act."""
    agreement = queries.own_agreement(verb.db, verb.actor, agreement_id)
    stopping.resume(verb.db, verb.actor, agreement, why, verb.now)
    return agreement_out(verb.db, agreement)


@routes.post("/agreements/{agreement_id}/termination", operation_id="terminate_agreement")
def terminate_agreement(verb: Verb, agreement_id: str, why: WhyIn) -> AgreementOut:
    """Either party ends the agreement; running uses stop at once.  It then signs its act."""
    agreement = queries.own_agreement(verb.db, verb.actor, agreement_id)
    return agreement_out(verb.db, stopping.terminate(verb.db, verb.actor, agreement, why, verb.now))
