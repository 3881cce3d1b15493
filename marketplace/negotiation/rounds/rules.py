"""What an automatic answer may rest on: the closed input of `policies/negotiation/`, built from terms and parties."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from marketplace.exchange.pricing import Metered, Results, price_of_access, price_of_use, read_plan
from marketplace.exchange.terms import PURPOSES
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid, shown
from marketplace.negotiation.rounds.schemas import AnswerRuleIn
from marketplace.negotiation.rounds.terms import Terms

PACKAGE = "negotiation"


class UnsoundRule(Invalid):
    """The rule says something that can never happen."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RuleFacts(_Closed):
    """The provider's rule as it stands, see `schemas.AutomaticIn`."""

    purposes: list[str]
    buyer_kinds: list[str]
    price_not_below_fen: int
    price_per_use_not_below_fen: int
    terms_unchanged: bool
    rounds_at_most: int


class ProposalFacts(_Closed):
    """What lies on the table.  price_fen: of access; changed: which terms differ from the listing, by name."""

    round: int
    by: str
    purpose: str
    price_fen: int
    price_per_use_fen: int
    changed: list[str]


class BuyerFacts(_Closed):
    """What is known of who asks.  kind: as verified at admission; overdue: reason codes of what it owes."""

    id: str
    kind: str
    verified: bool
    suspended: bool
    foreign_controlled: bool
    overdue: list[str]


class AnswerFacts(_Closed):
    """The whole input of `data.negotiation.decision`, before its digest is added.  now: Unix seconds."""

    now: int
    rule: RuleFacts
    proposal: ProposalFacts
    buyer: BuyerFacts
    contains_genomic: bool


def changed(listed: Terms, proposed: Terms) -> list[str]:
    """Names of the terms that differ from the listing; not the start, nor the prices that the rule has bounds for.

    price_kind: of the price plan anything else than those prices.
    """
    names = [name for name in ("parameters", "term_days") if getattr(listed, name) != getattr(proposed, name)]
    if not _same_but_bounded(listed.price_plan, proposed.price_plan):
        names.append("price_kind")
    return names


def _same_but_bounded(listed: Json, proposed: Json) -> bool:
    """Whether plans are the same but for price of access and of use; the whole plan where a rule sees no such price."""
    # A subscription's period is its term, which `changed` names by itself.
    bounded = {"price_fen", "access_fen", "period_days"}
    beside = set() if _unbounded(listed) or _unbounded(proposed) else bounded
    return read_plan(listed).model_dump(exclude=beside) == read_plan(proposed).model_dump(exclude=beside)


def _unbounded(plan: Json) -> bool:
    """Whether a plan has a price that is neither of access nor of a use: of a case, a scan, a byte, of results."""
    read = read_plan(plan)
    return isinstance(read, Results) or (isinstance(read, Metered) and price_of_use(plan).minor == 0)


def proposal_facts(number: int, by: str, listed: Terms, proposed: Terms) -> ProposalFacts:
    """A round against its listing."""
    return ProposalFacts(
        round=number,
        by=by,
        purpose=proposed.purpose,
        price_fen=price_of_access(proposed.price_plan).minor,
        price_per_use_fen=price_of_use(proposed.price_plan).minor,
        changed=changed(listed, proposed),
    )


def require_sound(asked: AnswerRuleIn) -> None:
    """Refuse purposes nobody can ask for and approvals nobody can give.  Raises UnsoundRule."""
    known = PURPOSES["known"]
    for purpose in asked.automatic.purposes if asked.automatic else []:
        if purpose not in known:
            raise UnsoundRule("no such purpose", expected=" or ".join(known), got=shown(purpose))
    offices = [one.office for one in asked.reviews]
    for one in asked.reviews:
        if offices.count(one.office) > 1:
            raise UnsoundRule("name each office once", expected="different offices", got=one.office)
        if one.persons and len(set(one.persons)) < one.approvals:
            raise UnsoundRule(
                f"{one.office} has fewer persons than approvals",
                expected=f"at least {one.approvals} persons, or none for anybody",
                got=str(len(set(one.persons))),
            )
