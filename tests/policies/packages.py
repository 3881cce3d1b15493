"""The policy packages by which rules answer in a negotiation: what they are asked, and each rule a second time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from marketplace.negotiation.rounds.accepting import NOT_ACCEPTABLE
from marketplace.negotiation.rounds.answering import NOT_OFFERABLE
from marketplace.negotiation.rounds.rules import AcceptanceFacts, AnswerFacts


@dataclass(frozen=True)
class Package:
    """A package with its seam.

    facts: what it may be asked; judge: its reasons by the words of the schema, in order; undecided: the service's own
    code; beside_the_point: facts without which it may still say yes, as they are not read at all, or not where another
    fact settles the condition.
    """

    name: str
    model: type[BaseModel]
    facts: st.SearchStrategy[dict[str, Any]]
    judge: Callable[[dict[str, Any]], list[str]]
    undecided: str
    beside_the_point: frozenset[tuple[str, ...]]


PURPOSES, KINDS = ("model_training", "statistics", "education"), ("pharma", "insurer")
few = st.integers(0, 3)
mostly = st.sampled_from([True, True, True, False])
seldom = st.sampled_from([False, False, False, True])
_ANSWER_FACTS = st.fixed_dictionaries(
    {
        "now": few,
        "rule": st.fixed_dictionaries(
            {
                "purposes": st.lists(st.sampled_from(PURPOSES), max_size=3, unique=True),
                "buyer_kinds": st.lists(st.sampled_from(KINDS), max_size=2, unique=True),
                "price_not_below_fen": few,
                "price_per_use_not_below_fen": few,
                "terms_unchanged": st.booleans(),
                "rounds_at_most": few,
            }
        ),
        "proposal": st.fixed_dictionaries(
            {
                "round": few,
                "by": st.sampled_from(["buyer", "buyer", "buyer", "provider"]),
                "purpose": st.sampled_from(PURPOSES),
                "price_fen": few,
                "price_per_use_fen": few,
                "changed": st.lists(st.sampled_from(["parameters", "term_days", "price_kind"]), max_size=1),
            }
        ),
        "buyer": st.fixed_dictionaries(
            {
                "id": st.just("prt_buyer"),
                "kind": st.sampled_from(KINDS),
                "verified": mostly,
                "suspended": seldom,
                "foreign_controlled": st.booleans(),
                "overdue": st.sampled_from([[], [], [], ["use_report_missing"]]),
            }
        ),
        "contains_genomic": st.booleans(),
    }
)
_ACCEPTANCE_FACTS = st.fixed_dictionaries(
    {
        "now": few,
        "move": st.sampled_from(["accept", "accept", "counter"]),
        "rule": st.fixed_dictionaries(
            {
                "purposes": st.lists(st.sampled_from(PURPOSES), max_size=3, unique=True),
                "price_at_most_fen": few,
                "price_per_use_at_most_fen": few,
                "rounds_at_most": few,
                "counters": st.booleans(),
            }
        ),
        "proposal": st.fixed_dictionaries(
            {
                "round": few,
                "offered": mostly,
                "purpose": st.sampled_from(PURPOSES),
                "price_fen": few,
                "price_per_use_fen": few,
                "changed": st.sampled_from([[], [], [], ["parameters"], ["starts_at"]]),
            }
        ),
        "provider": st.fixed_dictionaries({"id": st.just("prt_provider"), "verified": mostly, "suspended": seldom}),
        "buyer": st.fixed_dictionaries(
            {
                "id": st.just("prt_buyer"),
                "verified": mostly,
                "suspended": seldom,
                "foreign_controlled": st.booleans(),
                "overdue": st.sampled_from([[], [], [], ["use_report_missing"]]),
            }
        ),
        "contains_genomic": seldom,
    }
)


def _judge_request(facts: dict[str, Any]) -> list[str]:
    """The same rule a second time, written from the words of `schemas.AutomaticIn`: the reasons for a person."""
    rule, proposal, buyer = facts["rule"], facts["proposal"], facts["buyer"]
    bounds = {"parameters", "term_days"} if rule["terms_unchanged"] else set()
    found = {
        "not_asked_by_buyer": proposal["by"] != "buyer",
        "purpose_for_people": proposal["purpose"] not in rule["purposes"],
        "buyer_kind_for_people": buyer["kind"] not in rule["buyer_kinds"],
        "price_too_low": proposal["price_fen"] < rule["price_not_below_fen"],
        "price_per_use_too_low": proposal["price_per_use_fen"] < rule["price_per_use_not_below_fen"],
        "terms_changed": bool(bounds & set(proposal["changed"])),
        "price_kind_changed": "price_kind" in proposal["changed"],
        "too_many_rounds": proposal["round"] > rule["rounds_at_most"],
        "party_not_verified": not buyer["verified"],
        "party_suspended": buyer["suspended"],
        "proof_overdue": bool(buyer["overdue"]),
        "foreign_controlled_genomic": facts["contains_genomic"] and buyer["foreign_controlled"],
    }
    return sorted(code for code, holds in found.items() if holds)


def _judge_offer(facts: dict[str, Any]) -> list[str]:
    """The same rule a second time, written from the words of `schemas.AcceptableIn`: the reasons for a person."""
    rule, proposal, buyer, provider = (facts[name] for name in ("rule", "proposal", "buyer", "provider"))
    found = {
        "move_for_people": facts["move"] == "counter" and not rule["counters"],
        "not_offered": not proposal["offered"],
        "purpose_for_people": proposal["purpose"] not in rule["purposes"],
        "price_too_high": proposal["price_fen"] > rule["price_at_most_fen"],
        "price_per_use_too_high": proposal["price_per_use_fen"] > rule["price_per_use_at_most_fen"],
        "terms_changed": bool(proposal["changed"]),
        "too_many_rounds": proposal["round"] > rule["rounds_at_most"],
        "provider_not_active": not provider["verified"] or provider["suspended"],
        "party_not_verified": not buyer["verified"],
        "party_suspended": buyer["suspended"],
        "proof_overdue": bool(buyer["overdue"]),
        "foreign_controlled_genomic": facts["contains_genomic"] and buyer["foreign_controlled"],
    }
    return sorted(code for code, holds in found.items() if holds)


PACKAGES = (
    Package(
        "negotiation",
        AnswerFacts,
        _ANSWER_FACTS,
        _judge_request,
        NOT_OFFERABLE,
        frozenset(
            {
                ("now",),
                ("buyer", "id"),
                ("rule", "terms_unchanged"),
                ("contains_genomic",),
                ("buyer", "foreign_controlled"),
            }
        ),
    ),
    Package(
        "acceptance",
        AcceptanceFacts,
        _ACCEPTANCE_FACTS,
        _judge_offer,
        NOT_ACCEPTABLE,
        frozenset(
            {
                ("now",),
                ("buyer", "id"),
                ("provider", "id"),
                ("rule", "counters"),
                ("contains_genomic",),
                ("buyer", "foreign_controlled"),
            }
        ),
    ),
)
