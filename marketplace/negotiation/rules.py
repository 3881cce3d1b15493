"""The negotiation machine with the states of the Dataspace Protocol 2025-1, the agreement's machine, and refusals."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from marketplace.audit.entry import Tag
from marketplace.exchange.terms import CONTRACTS, PURPOSES
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid
from marketplace.kernel.transitions import Machine, step

ANSWER_WITHIN = timedelta(days=14)
REMIND_BEFORE = timedelta(days=3)
REASONS: Json = json.loads((CONTRACTS / "negotiation" / "reasons.json").read_text("utf-8"))


class State(StrEnum):
    """How far a negotiation has come; values are the protocol's own."""

    REQUESTED = "REQUESTED"
    OFFERED = "OFFERED"
    ACCEPTED = "ACCEPTED"
    AGREED = "AGREED"
    VERIFIED = "VERIFIED"
    FINALIZED = "FINALIZED"
    TERMINATED = "TERMINATED"


class AgreementState(StrEnum):
    """What an agreement is worth; `expired` follows its end by as long as the worker takes."""

    DRAFTED = "drafted"
    FINALIZED = "finalized"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class Reason(StrEnum):
    """Why a negotiation stands where it does; words in `contracts/negotiation/reasons.json`."""

    ASKED = "asked"
    COMPLETED = "completed"
    RETURNED = "returned_for_completion"
    COUNTERED = "counter_offered"
    LEFT = "left_to_people"
    LEFT_BY_BUYER = "left_to_buyers_people"
    ACCEPTED_BY_RULE = "accepted_by_rule"
    COUNTERED_BY_RULE = "countered_by_rule"
    AS_ASKED = "offered_as_asked"
    OTHERWISE = "offered_otherwise"
    BY_RULE = "offered_by_rule"
    DIRECTLY = "offered_directly"
    ACCEPTED = "offer_accepted"
    PROVIDER_SIGNED = "provider_signed"
    VERIFIED = "signatures_verified"
    IN_FORCE = "in_force"
    DEADLINE = "deadline_passed"


class ReasonOfService(Invalid):
    """Only the service gives this reason."""


class Side(StrEnum):
    """Who acts in a negotiation: one of its two parties, or the service between them."""

    BUYER = "buyer"
    PROVIDER = "provider"
    SERVICE = "service"


_N, _A = State, AgreementState
OPEN = (_N.REQUESTED, _N.OFFERED, _N.ACCEPTED, _N.AGREED, _N.VERIFIED)

NEGOTIATION = Machine(
    name="negotiation",
    steps=(
        step(_N.REQUESTED, _N.REQUESTED, "buyer", Tag.REQUEST_RESUBMITTED),
        step(_N.REQUESTED, _N.REQUESTED, "provider", Tag.REQUEST_RETURNED),
        step(_N.REQUESTED, _N.OFFERED, "provider service", Tag.OFFER_MADE),
        step(_N.REQUESTED, _N.AGREED, "provider", Tag.AGREEMENT_SIGNED),
        step(_N.OFFERED, _N.REQUESTED, "buyer service", Tag.OFFER_COUNTERED),
        step(_N.OFFERED, _N.ACCEPTED, "buyer service", Tag.OFFER_ACCEPTED),
        step(_N.ACCEPTED, _N.AGREED, "provider", Tag.AGREEMENT_SIGNED),
        step(_N.AGREED, _N.VERIFIED, "buyer service", Tag.AGREEMENT_VERIFIED),
        step(_N.VERIFIED, _N.FINALIZED, "service", Tag.AGREEMENT_FINALIZED),
        *(step(source, _N.TERMINATED, "provider", Tag.REQUEST_DECLINED) for source in OPEN),
        *(step(source, _N.TERMINATED, "buyer", Tag.REQUEST_WITHDRAWN) for source in OPEN),
        *(step(source, _N.TERMINATED, "service", Tag.REQUEST_EXPIRED) for source in OPEN),
    ),
    # agree: the provider signs; accept: the buyer does.
    allows={
        _N.REQUESTED: frozenset({"agree"}),
        _N.OFFERED: frozenset({"agree", "accept"}),
        _N.ACCEPTED: frozenset({"agree", "accept"}),
        _N.AGREED: frozenset({"accept"}),
    },
)
_NEXT = {
    _N.REQUESTED: Side.PROVIDER,
    _N.OFFERED: Side.BUYER,
    _N.ACCEPTED: Side.PROVIDER,
    _N.AGREED: Side.BUYER,
    _N.VERIFIED: Side.SERVICE,
}

AGREEMENT = Machine(
    name="agreement",
    steps=(
        step(_A.DRAFTED, _A.FINALIZED, "service", Tag.AGREEMENT_FINALIZED),
        step(_A.FINALIZED, _A.SUSPENDED, "buyer provider service", Tag.AGREEMENT_SUSPENDED),
        step(_A.SUSPENDED, _A.SUSPENDED, "buyer provider service", Tag.AGREEMENT_SUSPENDED),
        step(_A.SUSPENDED, _A.FINALIZED, "buyer provider service", Tag.AGREEMENT_RESUMED),
        step(_A.FINALIZED, _A.EXPIRED, "service", Tag.AGREEMENT_EXPIRED),
        step(_A.SUSPENDED, _A.EXPIRED, "service", Tag.AGREEMENT_EXPIRED),
        step(_A.FINALIZED, _A.SUPERSEDED, "service", Tag.AGREEMENT_SUPERSEDED),
        *(
            step(source, _A.TERMINATED, "buyer provider service", Tag.AGREEMENT_TERMINATED)
            for source in (_A.DRAFTED, _A.FINALIZED, _A.SUSPENDED)
        ),
    ),
    allows={_A.FINALIZED: frozenset({"use"})},
)


def require_own_reason(reason: str) -> None:
    """A party gives a reason of its own, none by which the service says where a negotiation stands.

    Raises ReasonOfService.
    """
    if reason in set(Reason):
        raise ReasonOfService("the service says this by itself", expected="a reason of your own", got=reason)


def whose_move(state: State, reason: str) -> Side | None:
    """Who has to move before the deadline; None at the end."""
    return Side.BUYER if reason == Reason.RETURNED else _NEXT.get(state)


@dataclass(frozen=True)
class Refusal:
    """Why a request was not taken up: a recorded answer, not an error.  reasons: codes; explanation: in words."""

    reasons: tuple[str, ...]
    explanation: str


@dataclass(frozen=True)
class Buyer:
    """What is known of a buyer when it asks.  overdue: reason codes of what it owes this provider."""

    verified: bool
    suspended: bool
    foreign_controlled: bool
    overdue: tuple[str, ...] = ()


def named_purpose(asked: str) -> str:
    """A purpose of the closed list, or `unknown`: free text of a caller never enters the log."""
    return asked if asked in {*PURPOSES["known"], *PURPOSES["denied_always"]} else "unknown"


def refusal(purpose: str, permitted: Collection[str], buyer: Buyer, *, contains_genomic: bool) -> Refusal | None:
    """Why this buyer may not have access for this purpose, or None.

    Gates H12 (purpose), H11 (identity, DSL art. 33), H5 (genomic data and foreign control, HGR art. 28).
    """
    found: list[tuple[str, str]] = []
    if purpose in PURPOSES["denied_always"]:
        found.append(("purpose_denied_always", f"{purpose} is refused whatever a contract says"))
    elif purpose not in permitted:
        allowed = ", ".join(sorted(permitted))
        said = named_purpose(purpose)
        found.append(("purpose_not_permitted", f"{said} is not among the permitted purposes: {allowed}"))
    if not buyer.verified:
        found.append(("party_not_verified", "the buyer's identity has not been verified"))
    if buyer.suspended:
        found.append(("party_suspended", "the buyer is suspended"))
    if contains_genomic and buyer.foreign_controlled:
        found.append(("foreign_controlled_genomic", "genomic data goes to no foreign-controlled party without filing"))
    found += [(code, "the buyer owes this provider a proof that is overdue") for code in buyer.overdue]
    if not found:
        return None
    return Refusal(tuple(sorted(code for code, _ in found)), "; ".join(words for _, words in found))
