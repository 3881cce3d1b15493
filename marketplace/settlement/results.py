"""Pay for results: a verifier says what was measured, either party may dispute it, and after 14 days it is settled."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.charging.queries import signed_plan
from marketplace.costing.service import meter
from marketplace.exchange.pricing import Results, read_plan
from marketplace.exchange.queries import listing
from marketplace.kernel.actor import SERVICE, SERVICE_ACTOR, Actor
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict, Forbidden
from marketplace.kernel.transitions import WrongState
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import AgreementState
from marketplace.negotiation.steps import record_agreement
from marketplace.plumbing import outbox
from marketplace.settlement import queries, rules
from marketplace.settlement.deposits import return_deposit
from marketplace.settlement.models import Outcome
from marketplace.settlement.postings import Booking
from marketplace.settlement.rules import OUTCOME, OutcomeState

SETTLE_TASK = "settlement.settle_outcome"


class NotForResults(Conflict):
    """The price of this agreement does not hang on a result."""


class NotTheVerifier(Forbidden):
    """Only the verifier that the parties agreed on says what was measured."""


class TooEarly(Conflict):
    """The window in which the result is measured is not over."""


class TooLate(Conflict):
    """The time in which the result could be disputed is over."""


class NothingDeclared(Conflict):
    """The verifier has not spoken yet."""


def outcome(db: Session, agreement_id: str) -> Outcome | None:
    """What was found, None before the verifier has spoken."""
    return db.get(Outcome, agreement_id, populate_existing=True)


def readable_agreement(db: Session, actor: Actor, agreement_id: str) -> Agreement:
    """An agreement that the caller is a party or the verifier of; auditors read all.  Raises NoSuchAgreement."""
    found = negotiation.agreement(db, agreement_id)
    plan = read_plan(signed_plan(db, found))
    if isinstance(plan, Results) and plan.verifier == actor.participant and found.finalized_at is not None:
        return found
    return negotiation.readable_agreement(db, actor, agreement_id)


def declare(db: Session, actor: Actor, agreement: Agreement, value_permille: int, now: datetime) -> Outcome:
    """Say what was measured after the window; the same value again changes nothing.

    After a dispute the verifier speaks once more, and that stands.
    Raises NotForResults, NotTheVerifier, TooEarly, WrongState.  Records: settlement:outcome_declared.
    """
    negotiation.lock_agreement(db, agreement)
    plan, found = _plan(db, agreement), outcome(db, agreement.id)

    if actor.participant != plan.verifier or actor.participant in {agreement.buyer_id, agreement.provider_id}:
        raise NotTheVerifier("another participant verifies", expected=plan.verifier, got=actor.participant)
    assert agreement.finalized_at is not None
    measured_at = agreement.finalized_at + timedelta(days=plan.window_days)
    if agreement.state == AgreementState.SUPERSEDED:
        raise WrongState("another agreement stands in the place of this one", got=agreement.state)
    if now < measured_at:
        raise TooEarly("the window runs", expected=f"from {timestamp(measured_at)}", got=timestamp(now))
    if found is not None and found.state != OutcomeState.DISPUTED and found.value_permille == value_permille:
        return found
    source = OutcomeState(found.state) if found else OutcomeState.AWAITED
    step = OUTCOME.step(source, OutcomeState.DECLARED, ["verifier"])

    made = found or Outcome(
        agreement_id=agreement.id, state="", value_permille=0, met=False, rulings=0, declared_at=now
    )
    made.state, made.value_permille, made.met = step.target, value_permille, plan.met(value_permille)
    made.rulings, made.declared_at = made.rulings + 1, now
    db.add(made)
    db.flush()
    due = now + rules.DISPUTE_WITHIN
    key = f"{agreement.id}:{made.rulings}"
    outbox.enqueue(db, SETTLE_TASK, {"agreement": agreement.id}, key=key, now=now, due=due)

    facts = {"value_permille": value_permille, "met": made.met, "ruling": made.rulings, "kpi": plan.kpi}
    record_agreement(db, actor, Tag(step.tag), agreement, facts, now)
    return made


def dispute(db: Session, actor: Actor, agreement: Agreement, reason: str, now: datetime) -> Outcome:
    """Dispute what was declared, once and within 14 days; the verifier then speaks again.

    reason: a code.  Raises NotForResults, NothingDeclared, RulingStands, TooLate, WrongState, NotYourStep.
    Records: settlement:outcome_disputed.
    """
    negotiation.lock_agreement(db, agreement)
    _plan(db, agreement)
    found = outcome(db, agreement.id)

    if found is None:
        raise NothingDeclared("nothing was declared that could be disputed", action="wait for the verifier")
    if found.state == OutcomeState.DISPUTED:
        return found
    if found.rulings > 1:
        raise rules.RulingStands("a result is disputed once", got=f"ruling {found.rulings}")
    stands_from = found.declared_at + rules.DISPUTE_WITHIN
    if found.state == OutcomeState.DECLARED and now >= stands_from:
        raise TooLate("what was declared stands", expected=f"before {timestamp(stands_from)}", got=timestamp(now))
    side = negotiation.side_of(agreement, actor)
    step = OUTCOME.step(OutcomeState(found.state), OutcomeState.DISPUTED, [side] if side else [])

    found.state, found.reason, found.disputed_at = step.target, reason, now
    db.add(found)
    db.flush()

    record_agreement(db, actor, Tag(step.tag), agreement, {"by": str(side), "ruling": found.rulings}, now)
    return found


def settle(db: Session, agreement_id: str, now: datetime) -> Outcome | None:
    """After 14 days without dispute: the price is charged where the target was met, else the deposit goes back.

    Before that, or a second time, nothing changes.
    Records: settlement:outcome_settled, costing:metered or ledger:posted.
    """
    agreement = negotiation.agreement(db, agreement_id)
    negotiation.lock_agreement(db, agreement)
    found = outcome(db, agreement_id)

    if found is None or found.state != OutcomeState.DECLARED or now < found.declared_at + rules.DISPUTE_WITHIN:
        return found
    step = OUTCOME.step(OutcomeState.DECLARED, OutcomeState.SETTLED, [SERVICE])

    found.state, found.settled_at = step.target, now
    db.add(found)
    db.flush()

    entry = record_agreement(db, SERVICE_ACTOR, Tag(step.tag), agreement, {"met": found.met}, now)
    if found.met:
        _charge(db, agreement, _plan(db, agreement).price_fen, now)
    else:
        booking = Booking()
        return_deposit(db, agreement, entry, booking, now)
        booking.enter(db, now)
    return found


def _plan(db: Session, agreement: Agreement) -> Results:
    plan = read_plan(signed_plan(db, agreement))
    if not isinstance(plan, Results) or agreement.finalized_at is None:
        raise NotForResults("no result is agreed", expected="a price plan of kind results, in force", got=plan.kind)
    return plan


def _charge(db: Session, agreement: Agreement, price_fen: int, now: datetime) -> None:
    meter(
        db,
        SERVICE_ACTOR,
        queries.SUCCESS,
        1,
        now,
        key=f"success:{agreement.id}",
        asset=agreement.asset_id,
        version=agreement.version_id,
        agreement=agreement.id,
        payer=agreement.buyer_id,
        payee=agreement.provider_id,
        venue=listing(db, agreement.listing_id).operator_id,
        unit_price_fen=price_fen,
    )
