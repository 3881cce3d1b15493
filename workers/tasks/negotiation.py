"""Tasks of negotiation: what happens when nobody moved in time, and at the end of a term."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlmodel import Session

from marketplace.negotiation import access, service, stopping
from marketplace.negotiation.duties import chasing
from marketplace.negotiation.duties.rules import Kind
from marketplace.negotiation.rounds import accepting, answering, reminding
from marketplace.negotiation.succession import answering as succession
from marketplace.negotiation.succession import chasing as acts
from marketplace.plumbing.runtime import Runtime
from workers.tasks.within import Plain, Rest, Within


def expire(runtime: Runtime, args: dict[str, Any]) -> None:
    """End a negotiation at its deadline; a negotiation that moved meanwhile is left alone."""
    with runtime.database.transaction() as db:
        service.expire(db, args["request"], runtime.clock.now())


def remind(runtime: Runtime, args: dict[str, Any]) -> None:
    """Remind the side whose move it is of a deadline; a negotiation that moved meanwhile is left alone."""
    with runtime.database.transaction() as db:
        reminding.remind(db, args["request"], runtime.clock.now())


def answer(_db: Session, runtime: Runtime, args: dict[str, Any]) -> Rest:
    """Ask the provider's rule about what a buyer put on the table; what it does not offer waits for people."""
    return partial(answering.answer, runtime, args["request"])


def accept(_db: Session, runtime: Runtime, args: dict[str, Any]) -> Rest:
    """Ask the buyer's rule about what was offered; what it neither accepts nor counters waits for people."""
    return partial(accepting.answer, runtime, args["request"])


def end(runtime: Runtime, args: dict[str, Any]) -> None:
    """Close an agreement at the end of its term; one that ended otherwise is left alone."""
    with runtime.database.transaction() as db:
        stopping.expire(db, args["agreement"], runtime.clock.now())


def end_trial(runtime: Runtime, args: dict[str, Any]) -> None:
    """Charge a subscription whose trial is over; one that ended within it is left alone.  args: agreement."""
    with runtime.database.transaction() as db:
        access.end_trial(db, args["agreement"], runtime.clock.now())


def chase_duty(runtime: Runtime, args: dict[str, Any]) -> None:
    """Remind of a proof, demand it, or draw the consequence, whichever it is time for.  args: agreement, duty."""
    with runtime.database.transaction() as db:
        chasing.chase(db, args["agreement"], Kind(args["duty"]), runtime.clock.now())


def chase_act(runtime: Runtime, args: dict[str, Any]) -> None:
    """Remind a side of an act that it has not signed; a signed one is left alone.  args: agreement, act."""
    with runtime.database.transaction() as db:
        acts.chase(db, args["agreement"], args["act"], runtime.clock.now())


def lapse_successor(runtime: Runtime, args: dict[str, Any]) -> None:
    """End a proposed successor that nobody signed in time; one that moved is left alone.  args: agreement."""
    with runtime.database.transaction() as db:
        succession.lapse(db, args["agreement"], runtime.clock.now())


def remind_successor(runtime: Runtime, args: dict[str, Any]) -> None:
    """Remind who has to sign or correct a successor; one that moved is left alone.  args: agreement."""
    with runtime.database.transaction() as db:
        acts.remind(db, args["agreement"], runtime.clock.now())


TASKS: dict[str, Plain | Within] = {
    "negotiation.expire": expire,
    "negotiation.remind": remind,
    "negotiation.answer": Within(answer, prompt=True),
    "negotiation.accept": Within(accept, prompt=True),
    "negotiation.end": end,
    "negotiation.chase_duty": chase_duty,
    "negotiation.chase_act": chase_act,
    "negotiation.lapse_successor": lapse_successor,
    "negotiation.remind_successor": remind_successor,
    "negotiation.end_trial": end_trial,
}
