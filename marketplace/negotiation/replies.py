"""Replies that more than one of the room's routers give."""

from __future__ import annotations

from fastapi import Response
from sqlmodel import Session

from marketplace.audit import documents
from marketplace.kernel.errors import Forbidden
from marketplace.negotiation import queries
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import Refusal
from marketplace.negotiation.schemas import AgreementOut, SignatureOut, UnsignedAct
from marketplace.negotiation.succession.queries import unsigned
from marketplace.plumbing.problems import problem


class AccessRefused(Forbidden):
    """This buyer may not have access for this purpose."""


def refused(refusal: Refusal) -> Response:
    """A recorded refusal as a problem document with its reason codes."""
    error = AccessRefused(refusal.explanation, action="ask for a permitted purpose, or look for another listing")
    return problem(error, extra={"reasons": list(refusal.reasons)})


def agreement_out(db: Session, agreement: Agreement) -> AgreementOut:
    """An agreement with the state of its negotiation, its signatures and what a side has still to sign."""
    return AgreementOut(
        **agreement.model_dump(exclude={"opinion_id"}),
        negotiation=queries.request(db, agreement.request_id).state,
        signatures=[SignatureOut.model_validate(one) for one in documents.signatures(db, agreement.document)],
        unsigned_acts=[UnsignedAct.model_validate(one) for one in unsigned(db, agreement.id)],
    )
