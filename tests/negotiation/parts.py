"""Parts of the story that tests of negotiation start from, made by the real verbs."""

from __future__ import annotations

from typing import Any

from marketplace.exchange.models import Listing
from marketplace.negotiation import queries, service, signing
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rules import Refusal
from marketplace.negotiation.schemas import ApprovalIn, RequestIn, WhyIn
from tests.exchange.parts import listed
from tests.house import House
from tests.legal.parts import signed

WHY = WhyIn(reason="example_reason", note="because")


def ask(house: House, listing: Listing, who: str = "pharma", **changes: Any) -> AccessRequest | Refusal:
    body = {"listing": listing.id, "purpose": "model_training", "justification": "to find nodules"} | changes
    with house.db() as db:
        return service.request_access(db, house.cast[who].actor, RequestIn.model_validate(body), house.clock.now())


def requested(house: House, listing: Listing | None = None, who: str = "pharma", **changes: Any) -> AccessRequest:
    answer = ask(house, listing or listed(house), who, **changes)
    assert isinstance(answer, AccessRequest)
    return answer


def approve(house: House, request: AccessRequest, **changes: Any) -> Agreement:
    with house.db() as db:
        request = queries.request(db, request.id)
        asked = ApprovalIn.model_validate(changes)
        return service.approve(db, house.cast["hospital"].actor, request, asked, house.clock.now())


def drafted(house: House, **changes: Any) -> Agreement:
    return approve(house, requested(house, **changes))


def sign(house: House, agreement: Agreement, who: str) -> Agreement:
    party = house.cast[who]
    with house.db() as db:
        agreement = queries.own_agreement(db, party.actor, agreement.id)
        made = signed(party, db, agreement.document, "agreement")
        return signing.sign(db, party.actor, agreement, made, house.clock.now())


def finalized(house: House, **changes: Any) -> Agreement:
    agreement = drafted(house, **changes)
    sign(house, agreement, "pharma")
    return sign(house, agreement, "hospital")


def state(house: House, agreement: Agreement) -> tuple[str, str]:
    """Negotiation and agreement state."""
    with house.db() as db:
        found = queries.agreement(db, agreement.id)
        return queries.request(db, found.request_id).state, found.state
