"""Pure rules of what follows a signed agreement: kinds of acts, the machines of acts and successors, deadlines."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from marketplace.audit.entry import Tag
from marketplace.kernel.canonical import Json
from marketplace.kernel.transitions import Machine, step

CHASE_AFTER = (timedelta(days=1), timedelta(days=7))
"""When a side is reminded that an act of its own, in effect already, lacks its signature."""
ANSWER_SUCCESSOR_WITHIN = timedelta(days=30)
"""Both sides sign a proposed successor within this time, and a returned one is corrected within it, or it lapses."""
PREDECESSOR_TERMINATED = "predecessor_terminated"
"""Why the service withdraws a successor that nobody can sign any more."""

NO_ONWARD_TRANSFER = "no_onward_transfer"
"""The clause under which nobody can take the buyer's place."""


class ActKind(StrEnum):
    """What a side declares about an agreement in force."""

    SUSPENSION = "suspension"
    RESUMPTION = "resumption"
    TERMINATION = "termination"
    ASSIGNMENT_REFUSAL = "assignment_refusal"


class ActState(StrEnum):
    """How far an act has come: a stop is in effect while still `unsigned`, anything else only once `signed`."""

    PREPARED = "prepared"
    UNSIGNED = "unsigned"
    SIGNED = "signed"
    OVERTAKEN = "overtaken"


class SuccessorKind(StrEnum):
    """What a successor does: an amendment takes its predecessor's place, a renewal follows its term."""

    AMENDMENT = "amendment"
    RENEWAL = "renewal"


class SuccessorState(StrEnum):
    """What became of a proposed successor."""

    PROPOSED = "proposed"
    RETURNED = "returned"
    CORRECTED = "corrected"
    IN_FORCE = "in_force"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


class AssignmentState(StrEnum):
    """What became of a buyer's question whether it may assign the agreement."""

    ASKED = "asked"
    REFUSED = "refused"


_A, _S = ActState, SuccessorState

ACT = Machine(
    name="act",
    steps=(
        step(_A.PREPARED, _A.UNSIGNED, "buyer provider", Tag.AGREEMENT_SUSPENDED),
        step(_A.PREPARED, _A.SIGNED, "buyer provider", Tag.ACT_SIGNED),
        step(_A.UNSIGNED, _A.SIGNED, "buyer provider", Tag.ACT_SIGNED),
        step(_A.PREPARED, _A.OVERTAKEN, "service", Tag.ACT_OVERTAKEN),
    ),
    allows={_A.UNSIGNED: frozenset({"bind"}), _A.SIGNED: frozenset({"bind"})},
)
SUCCESSOR = Machine(
    name="successor",
    steps=(
        step(_S.PROPOSED, _S.IN_FORCE, "service", Tag.AGREEMENT_FINALIZED),
        step(_S.PROPOSED, _S.RETURNED, "buyer provider", Tag.SUCCESSOR_RETURNED),
        step(_S.RETURNED, _S.CORRECTED, "buyer provider", Tag.SUCCESSOR_CORRECTED),
        *(
            ended
            for source in (_S.PROPOSED, _S.RETURNED)
            for ended in (
                step(source, _S.REFUSED, "buyer provider", Tag.SUCCESSOR_REFUSED),
                step(source, _S.WITHDRAWN, "buyer provider service", Tag.SUCCESSOR_WITHDRAWN),
                step(source, _S.LAPSED, "service", Tag.SUCCESSOR_LAPSED),
            )
        ),
    ),
    allows={_S.PROPOSED: frozenset({"sign"})},
)
WAITING = frozenset({_S.PROPOSED, _S.RETURNED})
"""Neither in force nor at its end."""


def answer_until(kind: str, term_ends_at: datetime, now: datetime) -> datetime:
    """Until when a successor waits for who has to move; an amendment not beyond the term of what it amends."""
    until = now + ANSWER_SUCCESSOR_WITHIN
    return min(until, term_ends_at) if kind == SuccessorKind.AMENDMENT else until


def assignment_prohibited(document: Json) -> bool:
    """Whether the signed text forbids handing its subject on to anybody else (PRC Civil Code art. 545)."""
    return any(one["id"] == NO_ONWARD_TRANSFER for one in document["text"]["zh"]["clauses"])


def price_due(new_fen: int, charged_fen: int) -> int:
    """What an amendment still costs: the part of its price of access that its predecessors were not charged yet."""
    return max(0, new_fen - charged_fen)
