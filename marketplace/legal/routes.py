"""Legal assessment over HTTP."""

from __future__ import annotations

from fastapi import Response

from marketplace.assets import queries as assets
from marketplace.assets.schemas import PreparedDocument, SignatureIn
from marketplace.kernel.actor import Actor
from marketplace.legal import checklist, document, evidence, queries, rules, service
from marketplace.legal.models import Opinion
from marketplace.legal.schemas import (
    ChecklistOut,
    CitableEvidence,
    ConditionMet,
    ConditionOut,
    DraftedOpinion,
    EvidenceIn,
    EvidenceOut,
    OpinionIn,
    OpinionOut,
)
from marketplace.plumbing.bodies import LARGE, takes_body_of
from marketplace.plumbing.web import Call, PublicView, Verb, View, router

routes = router("legal")


@routes.get("/checklist", operation_id="get_checklist")
def get_checklist(view: PublicView) -> ChecklistOut:  # noqa: ARG001 - the edge opens the transaction
    """The checklist that every opinion answers."""
    found = checklist.current()
    return ChecklistOut(
        id=found.id, sha256=found.sha256, reopened_by_delta=rules.reopened(found), content=found.content
    )


@routes.post("/evidence", status_code=201, operation_id="add_evidence")
@takes_body_of(LARGE)
def add_evidence(verb: Verb, asked: EvidenceIn) -> EvidenceOut:
    """Keep a small file that findings on an asset may cite."""
    return EvidenceOut.model_validate(evidence.add(verb.db, verb.actor, asked, verb.runtime.store, verb.now))


@routes.get("/versions/{version_id}/evidence", operation_id="list_evidence")
def list_evidence(view: View, version_id: str) -> CitableEvidence:
    """What findings on a version may cite: sent files, the passport's records and their evidence."""
    version = queries.assessed_version(view.db, view.actor, version_id)
    return CitableEvidence(items=list(queries.evidence(view.db, version).values()))


@routes.get("/versions/{version_id}/evidence/{sha256}", operation_id="get_evidence", response_class=Response)
def get_evidence(view: View, version_id: str, sha256: str) -> Response:
    """The exact bytes of one piece of evidence, as a download."""
    version = queries.assessed_version(view.db, view.actor, version_id)
    media_type, chunks = queries.evidence_content(view.db, view.runtime.store, version, sha256)
    # Sent files are foreign content: never rendered in our origin.
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(b"".join(chunks), media_type=media_type, headers=headers)


@routes.post("/versions/{version_id}/opinions", status_code=201, operation_id="draft_opinion")
@takes_body_of(LARGE)
def draft_opinion(verb: Verb, version_id: str, asked: OpinionIn) -> DraftedOpinion:
    """Write down a law firm's assessment and prepare the document to sign."""
    drafted = service.draft(verb.db, verb.actor, assets.version(verb.db, version_id), asked, verb.now)
    prepared = PreparedDocument(kind=document.KIND, sha256=drafted.document, sign_as=document.SIGN_AS)
    return DraftedOpinion(id=drafted.id, outcome=drafted.outcome, prepared=prepared)


@routes.get("/versions/{version_id}/opinions", operation_id="list_opinions")
def list_opinions(view: View, version_id: str) -> list[OpinionOut]:
    """The opinions on a version that the caller may read, in order of drafting."""
    assets.visible_version(view.db, view.actor, version_id)
    return [_shown(view, one) for one in queries.opinions(view.db, view.actor, version_id)]


@routes.get("/opinions/{opinion_id}", operation_id="get_opinion")
def get_opinion(view: View, opinion_id: str) -> OpinionOut:
    """One opinion with its conditions and whether it holds now."""
    return _shown(view, queries.opinion(view.db, view.actor, opinion_id))


@routes.post("/opinions/{opinion_id}/signature", operation_id="sign_opinion")
def sign_opinion(verb: Verb, opinion_id: str, signed: SignatureIn) -> OpinionOut:
    """Accept the law firm's signature; PASS and CONDITIONAL advance the version to `assessed`."""
    found = _own(verb, verb.actor, opinion_id)
    return _shown(verb, service.sign(verb.db, verb.actor, found, signed, verb.now))


@routes.post("/opinions/{opinion_id}/conditions/{condition_id}/met", operation_id="meet_condition")
def meet_condition(verb: Verb, opinion_id: str, condition_id: str, met: ConditionMet) -> ConditionOut:
    """The firm confirms with evidence that a condition was met in time."""
    found = _own(verb, verb.actor, opinion_id)
    condition = service.meet_condition(verb.db, verb.actor, found, condition_id, met.evidence, verb.now)
    return ConditionOut.model_validate(condition)


def _own(call: Call, actor: Actor, opinion_id: str) -> Opinion:
    found = queries.opinion(call.db, actor, opinion_id)
    if found.firm_id != actor.participant:
        raise queries.NoSuchOpinion("no opinion with this id", got=opinion_id)
    return found


def _shown(call: Call, found: Opinion) -> OpinionOut:
    resting = queries.valid_opinion(call.db, assets.version(call.db, found.version_id), call.now)
    conditions = [ConditionOut.model_validate(one) for one in queries.conditions(call.db, found.id)]
    valid = resting is not None and resting.id == found.id
    return OpinionOut.model_validate(found.model_dump() | {"conditions": conditions, "valid": valid})
