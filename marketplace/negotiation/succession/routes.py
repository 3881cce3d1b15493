"""What follows a signed agreement, over HTTP."""

from __future__ import annotations

from marketplace.assets.schemas import SignatureIn
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.replies import agreement_out
from marketplace.negotiation.schemas import AgreementOut, WhyIn
from marketplace.negotiation.succession import assigning, proposing, queries, reviewing, shown, signatures
from marketplace.negotiation.succession.rules import SuccessorKind
from marketplace.negotiation.succession.schemas import (
    ActOut,
    AssignmentIn,
    AssignmentOut,
    SuccessionOut,
    SuccessorIn,
    SuccessorOut,
    SuccessorReviewIn,
    SuccessorReviewOut,
)
from marketplace.plumbing.web import Verb, View, router

routes = router("negotiation")


@routes.get("/agreements/{agreement_id}/succession", operation_id="get_succession")
def get_succession(view: View, agreement_id: str) -> SuccessionOut:
    """Acts, successors and asked assignments of an agreement, for its parties and auditors."""
    agreement = negotiation.readable_agreement(view.db, view.actor, agreement_id)
    return shown.succession(view.db, agreement)


@routes.post("/agreements/{agreement_id}/acts/signature", operation_id="sign_act")
def sign_act(verb: Verb, agreement_id: str, signature: SignatureIn) -> ActOut:
    """A party signs its own act; one that was prepared takes effect with it."""
    agreement = negotiation.own_agreement(verb.db, verb.actor, agreement_id)
    return shown.act(verb.db, signatures.sign_act(verb.db, verb.actor, agreement, signature, verb.now))


@routes.post("/agreements/{agreement_id}/amendment", status_code=201, operation_id="propose_amendment")
def propose_amendment(verb: Verb, agreement_id: str, asked: SuccessorIn) -> AgreementOut:
    """Either party proposes changed terms, ready for both signatures; in force they take the agreement's place."""
    agreement = negotiation.own_agreement(verb.db, verb.actor, agreement_id)
    successor = proposing.propose(verb.db, verb.actor, agreement, SuccessorKind.AMENDMENT, asked, verb.now)
    return agreement_out(verb.db, successor)


@routes.post("/agreements/{agreement_id}/renewal", status_code=201, operation_id="propose_renewal")
def propose_renewal(verb: Verb, agreement_id: str, asked: SuccessorIn) -> AgreementOut:
    """Either party proposes an agreement for the term that follows, before or after the end."""
    agreement = negotiation.own_agreement(verb.db, verb.actor, agreement_id)
    successor = proposing.propose(verb.db, verb.actor, agreement, SuccessorKind.RENEWAL, asked, verb.now)
    return agreement_out(verb.db, successor)


@routes.post("/agreements/{agreement_id}/reviews", operation_id="review_successor")
def review_successor(verb: Verb, agreement_id: str, asked: SuccessorReviewIn) -> SuccessorReviewOut:
    """A person of the provider approves a proposed successor for an office, before the provider signs it."""
    agreement = negotiation.own_agreement(verb.db, verb.actor, agreement_id)
    reviewing.review(verb.db, verb.actor, agreement, asked, verb.now)
    given = [one.office for one in queries.reviews(verb.db, agreement.document)]
    missing = reviewing.missing(verb.db, agreement)
    return SuccessorReviewOut(document=agreement.document, approved=given, missing=missing)


@routes.post("/agreements/{agreement_id}/return", operation_id="return_successor")
def return_successor(verb: Verb, agreement_id: str, why: WhyIn) -> SuccessorOut:
    """A proposed successor goes back to the side that proposed it, for correction by a new proposal."""
    agreement = negotiation.own_agreement(verb.db, verb.actor, agreement_id)
    return shown.successor(verb.db, reviewing.give_back(verb.db, verb.actor, agreement, why, verb.now))


@routes.post("/agreements/{agreement_id}/assignment", status_code=201, operation_id="ask_assignment")
def ask_assignment(verb: Verb, agreement_id: str, asked: AssignmentIn) -> AssignmentOut:
    """The buyer asks whether it may assign the agreement; terms that prohibit it refuse at once."""
    agreement = negotiation.own_agreement(verb.db, verb.actor, agreement_id)
    return AssignmentOut.model_validate(assigning.ask(verb.db, verb.actor, agreement, asked, verb.now))


@routes.post("/agreements/{agreement_id}/assignment/refusal", operation_id="refuse_assignment")
def refuse_assignment(verb: Verb, agreement_id: str, why: WhyIn) -> ActOut:
    """The provider prepares its refusal; it takes effect when it signs the act."""
    agreement = negotiation.own_agreement(verb.db, verb.actor, agreement_id)
    return shown.act(verb.db, assigning.refuse(verb.db, verb.actor, agreement, why, verb.now))
