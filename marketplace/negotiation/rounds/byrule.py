"""What answering by rule does alike for both sides: nothing a person could not, and the rest is left to people."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.exchange import queries as exchange
from marketplace.exchange.queries import CatalogueRow
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import DomainError
from marketplace.negotiation.eligibility import require_eligible
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds import terms as table
from marketplace.negotiation.rounds.terms import Terms
from marketplace.negotiation.rules import Reason
from marketplace.negotiation.steps import record_request, save


def offerable(db: Session, request: AccessRequest, terms: Terms, now: datetime) -> CatalogueRow | None:
    """The listing with these terms, None where a person could not put them on the table now either."""
    try:
        row = exchange.visible_listing(db, request.listing_id, now, reader=request.buyer_id)
        meant = table.fitting(db, row, terms, now)
        require_eligible(db, request.buyer_id, terms.purpose, meant)
    except DomainError:
        return None
    return meant


def leave(db: Session, request: AccessRequest, reason: Reason, about: Json, now: datetime) -> None:
    """Leave what lies on the table to people.  Records: negotiation:answer_left_to_people."""
    request.reason = reason
    save(db, request)
    record_request(db, SERVICE_ACTOR, Tag.ANSWER_LEFT, request, now, about)
