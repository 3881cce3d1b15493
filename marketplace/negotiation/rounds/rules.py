"""What an automatic answer may rest on: the closed input of `policies/negotiation/`, built from terms and parties;
and of `policies/acceptance/`, by which a buyer answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict

from marketplace.exchange.pricing import Metered, Results, price_of_access, price_of_use, read_plan
from marketplace.exchange.terms import PURPOSES
from marketplace.kernel.canonical import Json, digest
from marketplace.kernel.errors import Invalid, shown
from marketplace.negotiation.rounds.schemas import AcceptableIn, AnswerRuleIn
from marketplace.negotiation.rounds.terms import Terms

PACKAGE = "negotiation"
ACCEPTANCE = "acceptance"
TOO_LATE = "too_many_rounds"
SECRET = frozenset({"price_too_low", "price_per_use_too_low", "price_too_high", "price_per_use_too_high"})
"""Reasons that tell on which side of a rule's bound a price lies."""


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


class AcceptableFacts(_Closed):
    """The buyer's rule as it stands, see `schemas.AcceptableIn`.  counters: whether another price may be asked for."""

    purposes: list[str]
    price_at_most_fen: int
    price_per_use_at_most_fen: int
    rounds_at_most: int
    counters: bool


class OfferFacts(_Closed):
    """What would be accepted, or asked for.  offered: it lies with the buyer; changed: names of terms that differ."""

    round: int
    offered: bool
    purpose: str
    price_fen: int
    price_per_use_fen: int
    changed: list[str]


class ProviderFacts(_Closed):
    """What is known of who offers."""

    id: str
    verified: bool
    suspended: bool


class AcceptingFacts(_Closed):
    """What is known of the buyer whose rule it is.  overdue: reason codes of what it owes."""

    id: str
    verified: bool
    suspended: bool
    foreign_controlled: bool
    overdue: list[str]


class AcceptanceFacts(_Closed):
    """The whole input of `data.acceptance.decision`, before its digest is added.  now: Unix seconds."""

    now: int
    move: Literal["accept", "counter"]
    rule: AcceptableFacts
    proposal: OfferFacts
    provider: ProviderFacts
    buyer: AcceptingFacts
    contains_genomic: bool


def offer_facts(number: int, own: Terms, offered: Terms, *, lies: bool) -> OfferFacts:
    """An offer, or a counter-offer to be, against what the buyer asked for itself, or the listing if it did not."""
    beside = [name for name in ("purpose", "starts_at") if getattr(own, name) != getattr(offered, name)]
    return OfferFacts(
        round=number,
        offered=lies,
        purpose=offered.purpose,
        price_fen=price_of_access(offered.price_plan).minor,
        price_per_use_fen=price_of_use(offered.price_plan).minor,
        changed=[*changed(own, offered), *beside],
    )


def at_price(terms: Terms, fen: int) -> Terms | None:
    """The same terms at another price of access; None where their price plan has no such price."""
    name = "access_fen" if isinstance(read_plan(terms.price_plan), Metered) else "price_fen"
    if isinstance(read_plan(terms.price_plan), Results):
        return None
    return replace(terms, price_plan={**terms.price_plan, name: fen})


def require_acceptable(asked: AcceptableIn | None) -> None:
    """Refuse purposes nobody can ask for and counter-offers above the own bound.  Raises UnsoundRule."""
    if asked is None:
        return
    _require_known(asked.purposes)
    if asked.counter_price_fen is not None and asked.counter_price_fen > asked.price_at_most_fen:
        raise UnsoundRule(
            "what is asked for instead would not be accepted",
            expected=f"at most {asked.price_at_most_fen}",
            got=str(asked.counter_price_fen),
        )


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
    _require_known(asked.automatic.purposes if asked.automatic else [])
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


def sealed(rule: Json, facts: Json) -> str:
    """SHA-256 of what the policy was told, as it stands in the entry, with the rule's own document.

    Whoever negotiates with the rule's owner reads the entry and can guess every fact, the bounds by trying; the
    document's salt or nonce only its readers know.
    """
    return digest({"rule": rule, "facts": facts})


def told(reasons: Sequence[str], otherwise: str) -> list[str]:
    """The reasons as an entry may say them to both sides; `otherwise` where none is left.

    No word of a price, else the bounds are found by offers that fail for another reason too; and of a round that comes
    too late nothing else, else by any number of rounds.
    """
    if TOO_LATE in reasons:
        return [TOO_LATE]
    return [one for one in reasons if one not in SECRET] or [otherwise]


def _require_known(purposes: Iterable[str]) -> None:
    known = PURPOSES["known"]
    for purpose in purposes:
        if purpose not in known:
            raise UnsoundRule("no such purpose", expected=" or ".join(known), got=shown(purpose))
