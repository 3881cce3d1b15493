"""Asking beforehand: whether a use would be allowed at this moment, decided and recorded like one, without a byte.

The answer binds nobody: a use is decided anew when it happens.  It reserves nothing, counts as no use and is no
disclosure; but it is evidence of what was asked, so it is an entry, and durable before it is told.

Whoever asks while others are being answered waits, and then all that wait are answered together: from one snapshot of
the database, each by its own facts and policy decision, with one durable commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.audit.receipts import promise
from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import DomainError
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.plumbing.policy import Decision
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.snapshots import snapshot
from marketplace.transfer import queries
from marketplace.transfer.leaving import as_seen, shortfall
from marketplace.usage import queries as usage_queries
from marketplace.usage import rules as usage_rules
from marketplace.usage import service as usage
from marketplace.usage.rules import Ruling, UseRequest

Spend = Callable[[Session], None]
"""Spends the caller's proof in a writing transaction."""


@dataclass(frozen=True)
class Question:
    """recognise: names the caller, by reading only, and gives what spends its proof; may raise."""

    recognise: Callable[[Session], tuple[Actor, Spend]]
    agreement_id: str
    use: UseRequest


@dataclass(frozen=True)
class Decided:
    """A recorded decision.  entry: its id; promised: what a receipt says of it, to be signed."""

    decision: Decision
    entry: str
    promised: str


@dataclass(frozen=True)
class Failed:
    """A question without a decision.  error: to be raised to its caller; actor: who asked, if that is known."""

    error: Exception
    actor: Actor | None = None


@dataclass(frozen=True)
class _Judged:
    actor: Actor
    spend: Spend
    agreement: Agreement
    ruling: Ruling


def decide_all(runtime: Runtime, questions: Sequence[Question], now: datetime) -> list[Decided | Failed]:
    """Whether each use would be allowed now; a caller's proof is spent in the transaction that records the answer.

    Answers in the order of the questions; what one of them lacks fails it alone: what `recognise` raises,
    NoSuchAgreement, ClockBehind.  Records: usage:decided for each.
    """
    with runtime.database.reading() as db, snapshot(db):
        names = [one.agreement_id for one in questions]
        usage_queries.read_ahead(db, names)
        queries.read_deliveries(db, names)
        gathered = [_gathered(db, one, now, runtime) for one in questions]

    judged = [one if isinstance(one, Failed) else one() for one in gathered]

    if not any(isinstance(one, _Judged) for one in judged):
        return [one for one in judged if isinstance(one, Failed)]

    def work(db: Session) -> list[Decided | Failed]:
        rulings = [one.ruling for one in judged if isinstance(one, _Judged)]
        confirmed = iter(usage.confirm_all(db, rulings, now, runtime.settings))
        return [_record(db, one, next(confirmed), now, runtime) if isinstance(one, _Judged) else one for one in judged]

    return runtime.database.grouped(work)


def _gathered(
    db: Session, question: Question, now: datetime, runtime: Runtime
) -> Callable[[], _Judged | Failed] | Failed:
    """What is left to do once the snapshot is given back: to ask the policy."""
    actor: Actor | None = None
    try:
        actor, spend = question.recognise(db)
        skew = runtime.settings.clock_skew_seconds
        moment = usage_rules.floored(now, usage_queries.latest_entry(db), skew_seconds=skew)
        agreement = negotiation.agreement(db, question.agreement_id)
        use = as_seen(db, agreement, question.use)
        delivery = queries.delivery(db, agreement.id)
        facts = usage.gather(db, actor, agreement, use, moment)
    except Exception as error:  # noqa: BLE001 - a fault of one question must not fail the others
        return Failed(error, actor)
    known, applied = actor, delivery.transformations if delivery is not None else None

    def judged() -> _Judged:
        ruling = usage.judge(runtime, facts)
        lack = shortfall(ruling, applied, use) if ruling.decision.allow and applied is not None else None
        return _Judged(known, spend, agreement, ruling.refused(lack) if lack else ruling)

    return judged


def _record(db: Session, asked: _Judged, ruling: Ruling, now: datetime, runtime: Runtime) -> Decided | Failed:
    try:
        asked.spend(db)
    except DomainError as error:
        return Failed(error)
    if ruling.decision.allow and runtime.soundness.reason is not None:
        ruling = ruling.refused(runtime.soundness.reason)
    about = {"allow": ruling.decision.allow}
    entry = usage.record_ruling(db, asked.actor, asked.agreement, ruling, now, about=about, tag=Tag.USE_DECIDED)
    return Decided(ruling.decision, entry, promise(runtime.settings, db.info["entries"][-1:], runtime.clock.now()))
