"""What the two parties are shown of a negotiation: where it stands and why, its rounds and what each changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlmodel import Session

from marketplace.exchange import queries as exchange
from marketplace.exchange.models import Offer
from marketplace.exchange.templates import LANGUAGES, render_uses, template
from marketplace.exchange.terms import PURPOSES
from marketplace.kernel.clock import timestamp
from marketplace.negotiation.differences import Difference, Paper, differences, paper_of_offer
from marketplace.negotiation.models import AccessRequest
from marketplace.negotiation.rounds import queries
from marketplace.negotiation.rounds.schemas import ChangeOut, RoundOut, WordsOut
from marketplace.negotiation.rounds.terms import Terms, listed, proposed
from marketplace.negotiation.rules import REASONS, State, whose_move
from marketplace.negotiation.schemas import RequestOut

_AT_DRAFTING = {"zh": "合同起草之时", "en": "when the agreement is drafted"}


def request_out(db: Session, request: AccessRequest) -> RequestOut:
    """A request with whose move is next, and why it stands where it does in words."""
    latest = queries.latest(db, request.id)
    return _out(request, latest.round if latest else 0)


def requests_out(db: Session, requests: Sequence[AccessRequest]) -> list[RequestOut]:
    """The same of several, by one question to the database."""
    rounds = queries.numbers(db, [one.id for one in requests])
    return [_out(one, rounds.get(one.id, 0)) for one in requests]


def _out(request: AccessRequest, number: int) -> RequestOut:
    side = whose_move(State(request.state), request.reason)
    words = REASONS[request.reason] if request.reason in REASONS else REASONS["other"]
    return RequestOut(
        **request.model_dump(),
        round=number,
        reason_words=WordsOut(**words) if request.reason else None,
        next=str(side) if side else None,
    )


def rounds_out(db: Session, request: AccessRequest) -> list[RoundOut]:
    """Every round with what it changed against the one before, the first against the listing."""
    offer = exchange.offer(db, request.offer_id)
    before, found = listed(offer, request.purpose), list[RoundOut]()
    for one in queries.proposals(db, request.id):
        terms = proposed(one)
        if one.round == 1:
            before = replace(before, purpose=terms.purpose)
        changes = [ChangeOut.model_validate(change) for change in between(offer, before, terms)]
        found.append(RoundOut(**one.model_dump(exclude={"request_id"}), changes=changes))
        before = terms
    return found


def between(offer: Offer, old: Terms, new: Terms) -> list[Difference]:
    """What differs between two rounds under one offer, in words."""
    return differences(_paper(offer, old), _paper(offer, new))


def _paper(offer: Offer, terms: Terms) -> Paper:
    uses = render_uses(template(offer.template), terms.parameters, offer.asset_id)
    said = {
        "parameters": terms.parameters,
        "uses": uses,
        "price_plan": terms.price_plan,
        "term_days": terms.term_days,
    }
    paper = paper_of_offer(Offer(**(offer.model_dump() | said)))
    known = PURPOSES["known"] | PURPOSES["denied_always"]
    purpose = {language: f"{known[terms.purpose][language]} ({terms.purpose})" for language in LANGUAGES}
    start = dict.fromkeys(LANGUAGES, timestamp(terms.starts_at)) if terms.starts_at else _AT_DRAFTING
    return replace(paper, facts={**paper.facts, "purpose": purpose, "start": start})
