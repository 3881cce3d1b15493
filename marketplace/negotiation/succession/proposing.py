"""Proposing a successor: an amendment that takes an agreement's place, or a renewal for the term that follows."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.audit.words import keep_why
from marketplace.exchange import queries as exchange
from marketplace.exchange.fitness import fitting_uses
from marketplace.exchange.models import Offer
from marketplace.exchange.pricing import rate_of, read_plan, require_regime
from marketplace.exchange.queries import CatalogueRow
from marketplace.exchange.standing import Standing
from marketplace.exchange.templates import LANGUAGES, template
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import require_utc, timestamp
from marketplace.kernel.errors import Invalid
from marketplace.kernel.ids import new_id
from marketplace.kernel.transitions import NotYourStep
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.agreement import agreement_document, agreement_uses, end_of_term
from marketplace.negotiation.clauses import Facts
from marketplace.negotiation.differences import differences, paper_of_agreement
from marketplace.negotiation.drafting import START_WITHIN, StartOutOfRange, TermOutlivesCertificate
from marketplace.negotiation.eligibility import require_eligible_for
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.steps import record_agreement
from marketplace.negotiation.succession import answering, queries
from marketplace.negotiation.succession.models import AgreementSuccessor
from marketplace.negotiation.succession.notices import ask_for_deadline, tell
from marketplace.negotiation.succession.place import require_countable, require_end, require_place
from marketplace.negotiation.succession.rules import SuccessorKind, SuccessorState, answer_until
from marketplace.negotiation.succession.schemas import SuccessorIn
from marketplace.participants import queries as participants
from marketplace.plumbing import epochs


class NothingChanged(Invalid):
    """An amendment changes something."""


class EndsTooEarly(Invalid):
    """The term would end before it begins, or before now."""


def propose(
    db: Session, actor: Actor, agreement: Agreement, kind: SuccessorKind, asked: SuccessorIn, now: datetime
) -> Agreement:
    """Draft a successor that names its predecessor and says in words what is otherwise; both sides are to sign it.

    What a new offer is judged by is judged: template, terms, price plan, listing, certificate, opinion, buyer.
    Where one was returned to this side, the new proposal corrects it and takes its place.
    Raises NotYourStep, WrongState, AlreadySucceeded, RenewalBegins, NotInCatalogue, StartOutOfRange, EndsTooEarly,
    NothingChanged, TermOutlivesCertificate, BadParameters, UnknownTerm, NotDeliverable, PlanDoesNotFit, ResearchOnly,
    RefusedOnReview.
    Records: negotiation:successor_proposed, and negotiation:successor_corrected.
    """
    negotiation.lock_agreement(db, agreement)
    row = exchange.visible_listing(db, agreement.listing_id, now, reader=agreement.buyer_id)
    before = documents.content(db, agreement.document)

    returned = require_place(db, actor, agreement, kind, now)
    starts_at, ends_at = _term(agreement, row, kind, asked, now)
    require_end(db, agreement, kind, ends_at)
    offer = _offer(db, row, agreement, before, asked, (ends_at - starts_at).days)
    if kind == SuccessorKind.AMENDMENT:
        require_countable(db, agreement, rate_of(read_plan(offer.price_plan)))

    successor = _draft(agreement, row, offer, (starts_at, ends_at), now)
    document = _document(db, agreement, successor, row, offer, now)
    require_eligible_for(db, successor)
    previous = queries.head(db, agreement)[1]
    document["predecessor"] = _predecessor(agreement, kind, previous, before, document)
    readers = (agreement.provider_id, agreement.buyer_id)
    if returned is not None:
        answering.correct(db, actor, returned, now)
    successor.document = documents.keep(db, "agreement", document, now, readers=readers)
    follows = _follow(db, actor, agreement, successor, kind, previous, asked, now)

    entry = _record(db, actor, successor, follows, asked, now)
    tell(db, agreement, "successor_proposed", party=actor.participant, about=successor.document, entry=entry, now=now)
    return successor


def _term(
    agreement: Agreement, row: CatalogueRow, kind: SuccessorKind, asked: SuccessorIn, now: datetime
) -> tuple[datetime, datetime]:
    """An amendment keeps the term's beginning, a renewal begins where the term ends, or now when it has ended."""
    starts_at, default = agreement.starts_at, agreement.ends_at
    if kind == SuccessorKind.RENEWAL:
        starts_at = max(agreement.ends_at, now)
        default = end_of_term(starts_at, row.offer.term_days)
    ends_at = require_utc(asked.ends_at) if asked.ends_at else default
    if starts_at > now + START_WITHIN and kind == SuccessorKind.RENEWAL:
        raise StartOutOfRange("a renewal is proposed within 90 days before the end", got=timestamp(starts_at))
    if ends_at <= max(starts_at, now):
        raise EndsTooEarly("the term ends after it begins and after now", got=timestamp(ends_at))
    if ends_at > row.certificate.valid_until:
        raise TermOutlivesCertificate(
            "no use is allowed after the certificate's end",
            expected=f"an end before {timestamp(row.certificate.valid_until)}",
            got=timestamp(ends_at),
            action="renew the certificate first, or propose an earlier end",
        )
    return starts_at, ends_at


def _offer(db: Session, row: CatalogueRow, agreement: Agreement, before: Json, asked: SuccessorIn, days: int) -> Offer:
    """The offer as it would be with the changes; never stored, the agreement's own offer stays what it was."""
    chosen = template(before["template"])
    parameters = before["parameters"] | asked.parameters
    plan = asked.price_plan or read_plan(agreement.price_plan)
    require_regime(read_plan(row.offer.price_plan), plan)
    uses = fitting_uses(
        db,
        row.version,
        row.asset,
        chosen,
        parameters=parameters,
        price_plan=plan,
        delivery_mode=agreement.delivery_mode,
        term_days=days,
    )
    changed = {
        "template": chosen.name,
        "parameters": parameters,
        "uses": uses,
        "price_plan": plan.model_dump(exclude_none=True),
        "delivery_mode": agreement.delivery_mode,
        "term_days": days,
    }
    return Offer(**row.offer.model_dump() | changed)


def _draft(
    agreement: Agreement, row: CatalogueRow, offer: Offer, term: tuple[datetime, datetime], now: datetime
) -> Agreement:
    return Agreement(
        id=new_id("agr"),
        request_id=agreement.request_id,
        provider_id=agreement.provider_id,
        buyer_id=agreement.buyer_id,
        asset_id=agreement.asset_id,
        version_id=row.version.id,
        listing_id=agreement.listing_id,
        certificate_code=row.certificate.code,
        opinion_id=row.opinion.id,
        document="",
        uses={},
        price_plan=offer.price_plan,
        delivery_mode=offer.delivery_mode,
        drafted_at=now,
        starts_at=term[0],
        ends_at=term[1],
    )


def _document(
    db: Session, agreement: Agreement, successor: Agreement, row: CatalogueRow, offer: Offer, now: datetime
) -> Json:
    """The successor's document but for its predecessor; puts the uses into the successor."""
    facts = Facts(
        offer=offer,
        asset=row.asset,
        version=row.version,
        provider=row.provider,
        buyer=participants.participant(db, agreement.buyer_id),
        certificate_code=row.certificate.code,
        opinion_number=row.opinion.number,
        starts_at=timestamp(successor.starts_at),
        ends_at=timestamp(successor.ends_at),
    )
    successor.uses = agreement_uses(successor.id, facts, now)
    standing = Standing(row.opinion, row.certificate)
    return agreement_document(successor.id, agreement.request_id, facts, standing, successor.uses, now)


def _predecessor(agreement: Agreement, kind: SuccessorKind, previous: str, before: Json, document: Json) -> Json:
    """What is succeeded, the end of its chain, and what is otherwise now in words.  Raises NothingChanged."""
    changes = differences(paper_of_agreement(before), paper_of_agreement(document))
    if kind == SuccessorKind.AMENDMENT and not changes:
        raise NothingChanged("the agreement says all this already", got=agreement.id)
    return {
        "id": agreement.id,
        "sha256": agreement.document,
        "kind": str(kind),
        "previous": previous,
        "changes": {language: [getattr(one, language) for one in changes] for language in LANGUAGES},
    }


def _follow(
    db: Session,
    actor: Actor,
    agreement: Agreement,
    successor: Agreement,
    kind: SuccessorKind,
    previous: str,
    asked: SuccessorIn,
    now: datetime,
) -> AgreementSuccessor:
    """Write the successor and its place, and ask for its end at the deadline."""
    side = negotiation.side_of(agreement, actor)
    if side is None:
        raise NotYourStep("only the two sides of an agreement propose its successor", got=actor.participant)
    follows = AgreementSuccessor(
        agreement_id=successor.id,
        predecessor_id=agreement.id,
        previous=previous,
        kind=kind,
        side=side,
        proposed_by=actor.participant,
        reason=asked.reason,
        state=SuccessorState.PROPOSED,
        proposed_at=now,
        expires_at=answer_until(kind, agreement.ends_at, now),
    )
    db.add(successor)
    db.flush()
    db.add(follows)
    db.flush()
    epochs.open_epoch(db, successor.id)
    ask_for_deadline(db, follows, now)
    return follows


def _record(
    db: Session, actor: Actor, successor: Agreement, follows: AgreementSuccessor, asked: SuccessorIn, now: datetime
) -> str:
    said = keep_why(db, asked.reason, asked.note, now, (successor.provider_id, successor.buyer_id))
    facts: Json = {
        **said,
        "document": successor.document,
        "predecessor": follows.predecessor_id,
        "kind": follows.kind,
        "by": follows.side,
    }
    return record_agreement(db, actor, Tag.SUCCESSOR_PROPOSED, successor, facts, now)
