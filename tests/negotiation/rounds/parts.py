"""Moves of a negotiation in rounds, made by the real verbs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlmodel import select

from marketplace.audit import documents
from marketplace.audit import queries as audit
from marketplace.audit.models import Entry
from marketplace.exchange import queries as exchange
from marketplace.exchange.terms import CONTRACTS
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, digest, read_strictly
from marketplace.kernel.ids import new_id
from marketplace.negotiation import queries
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rounds import answering, offering, replying, reviewing
from marketplace.negotiation.rounds import queries as rounds
from marketplace.negotiation.rounds.models import AnswerRule, Proposal
from marketplace.negotiation.rounds.schemas import AnswerRuleIn, DirectOfferIn, ReviewIn, TermsIn
from marketplace.negotiation.rounds.shown import request_out
from marketplace.negotiation.rounds.terms import Terms
from marketplace.negotiation.rules import Refusal
from marketplace.plumbing import outbox
from marketplace.plumbing.outbox import OutboxRow
from tests.house import House
from workers.relay import run_due

PROVIDER, BUYER = "hospital", "pharma"


def actor_of(house: House, who: str, person: str | None = None) -> Actor:
    return replace(house.cast[who].actor, person=person)


def offer(house: House, request: AccessRequest, who: str = PROVIDER, **terms: Any) -> Agreement:
    with house.db() as db:
        found = queries.request(db, request.id)
        asked = TermsIn.model_validate(terms)
        return offering.offer(db, actor_of(house, who), found, asked, house.clock.now())


def ask_again(house: House, task: str, request: AccessRequest) -> None:
    """Have the same piece of work done once more, as it is when a worker is lost after it."""
    with house.db() as db:
        outbox.enqueue(db, task, {"request": request.id}, key=new_id("again"), now=house.clock.now())
    run_due(house.runtime, only=[task])
    with house.runtime.database.reading() as db:
        rows = db.exec(select(OutboxRow).where(OutboxRow.task == task)).all()
    assert all(one.done_at is not None for one in rows), [one.last_error for one in rows]


def counter(house: House, request: AccessRequest, who: str = BUYER, **terms: Any) -> AccessRequest | Refusal:
    with house.db() as db:
        found = queries.request(db, request.id)
        asked = TermsIn.model_validate(terms)
        return replying.counter(db, actor_of(house, who), found, asked, house.clock.now())


def accept(house: House, request: AccessRequest, document: str, who: str = BUYER) -> AccessRequest:
    with house.db() as db:
        found = queries.request(db, request.id)
        return replying.accept(db, actor_of(house, who), found, document, house.clock.now())


def draft_to_sign(house: House, request: AccessRequest, who: str = PROVIDER) -> Agreement:
    with house.db() as db:
        found = queries.request(db, request.id)
        return offering.draft_to_sign(db, actor_of(house, who), found, house.clock.now())


def offer_directly(
    house: House, listing: str, buyer: str = BUYER, who: str = PROVIDER, **terms: Any
) -> AccessRequest | Refusal:
    body = {"listing": listing, "buyer": house.cast[buyer].id, "purpose": "model_training", "terms": terms}
    with house.db() as db:
        return offering.offer_directly(db, actor_of(house, who), DirectOfferIn.model_validate(body), house.clock.now())


def review(
    house: House, request: AccessRequest, person: str | None, office: str, who: str = PROVIDER, **terms: Any
) -> Terms:
    with house.db() as db:
        found = queries.request(db, request.id)
        asked = ReviewIn.model_validate({"office": office, "terms": terms})
        return reviewing.review(db, actor_of(house, who, person), found, asked, house.clock.now())


def set_rule(house: House, listing: str, who: str = PROVIDER, **rule: Any) -> AnswerRule:
    with house.db() as db:
        found = exchange.listing(db, listing)
        asked = AnswerRuleIn.model_validate(rule)
        return answering.set_rule(db, actor_of(house, who), found, asked, house.clock.now())


def now_of(house: House, request: AccessRequest) -> AccessRequest:
    with house.runtime.database.reading() as db:
        return queries.request(db, request.id)


def proposals(house: House, request: AccessRequest) -> list[Proposal]:
    with house.runtime.database.reading() as db:
        return list(rounds.proposals(db, request.id))


def work(house: House) -> None:
    """Everything that is due in the outbox."""
    run_due(house.runtime)


def content(house: House, sha256: str) -> Json:
    with house.runtime.database.reading() as db:
        return documents.content(db, sha256)


def facts(house: House, tag: str) -> list[Json]:
    with house.runtime.database.reading() as db:
        bodies = db.exec(select(Entry.body).where(Entry.tag == f"negotiation:{tag}").order_by(Entry.id)).all()
    return [read_strictly(body)["facts"] for body in bodies]


def seen(house: House, request: AccessRequest) -> tuple[str, str, str | None]:
    """State, reason and whose move it is."""
    with house.runtime.database.reading() as db:
        shown = request_out(db, queries.request(db, request.id))
    assert shown.reason_words is None or (shown.reason_words.en and shown.reason_words.zh)
    return shown.state, shown.reason, shown.next


def schema_named(kind: str) -> Json:
    schema: Json = json.loads((CONTRACTS / "documents" / f"{kind}.schema.json").read_text("utf-8"))
    return schema


def read_by(house: House, who: str, request: AccessRequest, tag: str) -> list[Json]:
    """Facts of the entries that a party may read of the agreement that lies on the table now."""
    with house.runtime.database.reading() as db:
        agreement = str(queries.request(db, request.id).agreement_id)
        readable = audit.readable_agreement_entries(db, house.cast[who].actor, agreement)
        assert readable is not None
        rows = select(Entry.body).where(*readable, Entry.tag == f"negotiation:{tag}").order_by(Entry.id)
        return [read_strictly(body)["facts"] for body in db.exec(rows).all()]


def bounds_that_fit(named: str, facts: Json, bound: str, guesses: Iterable[int]) -> list[int]:
    """What somebody finds who knows all facts but one bound of the rule, and the digest that stands in an entry."""
    return [fen for fen in guesses if digest(facts | {"rule": facts["rule"] | {bound: fen}}) == named]
