"""Terms on the table: what is proposed, what it changes, and whether it may be offered at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Self

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.exchange import queries as exchange
from marketplace.exchange.fitness import fitting_uses
from marketplace.exchange.models import Offer
from marketplace.exchange.pricing import read_plan, require_regime
from marketplace.exchange.queries import CatalogueRow
from marketplace.exchange.templates import template
from marketplace.kernel.canonical import Json, digest
from marketplace.kernel.clock import require_utc, timestamp
from marketplace.negotiation.drafting import term
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds import queries
from marketplace.negotiation.rounds.models import Proposal
from marketplace.negotiation.rounds.schemas import TermsIn
from marketplace.negotiation.rules import Side

KIND = "proposal"


@dataclass(frozen=True)
class Terms:
    """What may differ between rounds.  starts_at: None = when the agreement is drafted."""

    purpose: str
    parameters: Json
    price_plan: Json
    term_days: int
    starts_at: datetime | None = None

    def changed(self, asked: TermsIn) -> Self:
        """These terms with what was asked for in their place."""
        said = {name: value for name, value in dict(asked).items() if value is not None}
        if asked.price_plan is not None:
            said["price_plan"] = asked.price_plan.model_dump(exclude_none=True)
        if asked.starts_at is not None:
            said["starts_at"] = require_utc(asked.starts_at)
        return replace(self, **said)

    @property
    def written(self) -> Json:
        """As plain values of a document."""
        return asdict(self) | {"starts_at": timestamp(self.starts_at) if self.starts_at else None}

    @property
    def sha256(self) -> str:
        """Their name, the same for the same terms in whichever round."""
        return digest(self.written)


def listed(offer: Offer, purpose: str) -> Terms:
    """The terms that a listing offers to everybody."""
    return Terms(purpose, offer.parameters, offer.price_plan, offer.term_days)


def proposed(proposal: Proposal) -> Terms:
    """The terms of a round."""
    return Terms(
        proposal.purpose, proposal.parameters, proposal.price_plan, proposal.term_days, starts_at=proposal.starts_at
    )


def on_table(db: Session, request: AccessRequest) -> Terms:
    """What both sides talk about now; for a request from before there were rounds, what the listing offers."""
    return lying(db, request, queries.latest(db, request.id))


def lying(db: Session, request: AccessRequest, latest: Proposal | None) -> Terms:
    """The same of the latest round, where that was read already."""
    return proposed(latest) if latest else listed(exchange.offer(db, request.offer_id), request.purpose)


def asked_first(db: Session, request: AccessRequest) -> Terms:
    """What the negotiation began with, whatever was proposed since."""
    made = queries.proposals(db, request.id)
    return proposed(made[0]) if made else on_table(db, request)


def fitting(db: Session, row: CatalogueRow, terms: Terms, now: datetime) -> CatalogueRow:
    """The listing as if it offered these terms, once they meet everything that a published offer meets,
    and its price regime.

    Raises BadParameters, UnknownTerm, NotDeliverable, PlanDoesNotFit, ResearchOnly, StartOutOfRange,
    TermOutlivesCertificate.
    """
    plan = read_plan(terms.price_plan)
    require_regime(read_plan(row.offer.price_plan), plan)
    uses = fitting_uses(
        db,
        row.version,
        row.asset,
        template(row.offer.template),
        parameters=terms.parameters,
        price_plan=plan,
        delivery_mode=row.offer.delivery_mode,
        term_days=terms.term_days,
    )
    said = {
        "parameters": terms.parameters,
        "uses": uses,
        "price_plan": terms.price_plan,
        "term_days": terms.term_days,
    }
    meant = replace(row, offer=Offer(**(row.offer.model_dump() | said)))
    term(terms.starts_at, meant, now)
    return meant


def put_on_table(db: Session, request: AccessRequest, terms: Terms, side: Side, now: datetime) -> Proposal:
    """Keep a proposal as the next round, as a document that both sides read; the caller records it."""
    before = queries.latest(db, request.id)
    number = before.round + 1 if before else 1
    content: Json = {
        "type": KIND,
        "v": 1,
        "request": request.id,
        "listing": request.listing_id,
        "offer": request.offer_id,
        "template": exchange.offer(db, request.offer_id).template,
        "round": number,
        "by": str(side),
        **terms.written,
        "previous": before.document if before else None,
        "made_at": timestamp(now),
    }
    readers = (request.provider_id, request.buyer_id)
    name = documents.keep(db, KIND, content, now, readers=readers)
    proposal = Proposal(document=name, request_id=request.id, round=number, by=side, made_at=now, **vars(terms))
    db.add(proposal)
    db.flush()
    return proposal


def about(proposal: Proposal | None) -> Json:
    """What an entry or an agreement says of a round; nothing for a request from before there were rounds."""
    return {"round": proposal.round, "proposal": proposal.document} if proposal else {}
