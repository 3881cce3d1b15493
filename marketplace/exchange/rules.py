"""The listing machine, and how text becomes search terms."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum

from marketplace.audit.entry import Tag
from marketplace.kernel.transitions import Machine, step


class ListingState(StrEnum):
    """How far an offer has come on the exchange; states of our own (docs/reference/states.md)."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    IN_REVIEW = "in_review"
    RETURNED = "returned"
    APPROVED = "approved"
    LISTED = "listed"
    SUSPENDED = "suspended"
    FORCED_OFF = "forced_off"
    WITHDRAWN = "withdrawn"
    ARCHIVED = "archived"


_L = ListingState
_BEFORE_END = (_L.DRAFT, _L.SUBMITTED, _L.IN_REVIEW, _L.RETURNED, _L.APPROVED, _L.LISTED, _L.SUSPENDED)

LISTING = Machine(
    name="listing",
    steps=(
        step(_L.DRAFT, _L.SUBMITTED, "provider", Tag.LISTING_SUBMITTED),
        step(_L.RETURNED, _L.SUBMITTED, "provider", Tag.LISTING_SUBMITTED),
        step(_L.SUBMITTED, _L.IN_REVIEW, "exchange_operator", Tag.LISTING_REVIEWED),
        *(
            step(source, _L.RETURNED, "exchange_operator", Tag.LISTING_RETURNED)
            for source in (_L.SUBMITTED, _L.IN_REVIEW, _L.APPROVED)
        ),
        step(_L.IN_REVIEW, _L.APPROVED, "exchange_operator", Tag.LISTING_APPROVED),
        step(_L.APPROVED, _L.APPROVED, "exchange_operator", Tag.LISTING_APPROVED),
        step(_L.APPROVED, _L.LISTED, "exchange_operator", Tag.LISTING_PUBLISHED),
        step(_L.LISTED, _L.SUSPENDED, "provider exchange_operator service", Tag.LISTING_SUSPENDED),
        step(_L.SUSPENDED, _L.LISTED, "exchange_operator", Tag.LISTING_RESUMED),
        *(
            step(source, _L.FORCED_OFF, "exchange_operator", Tag.LISTING_FORCED_OFF)
            for source in (_L.LISTED, _L.SUSPENDED, _L.WITHDRAWN)
        ),
        *(
            step(_L.FORCED_OFF, target, "exchange_operator", Tag.LISTING_REINSTATED)
            for target in (_L.LISTED, _L.SUSPENDED, _L.WITHDRAWN)
        ),
        *(step(source, _L.WITHDRAWN, "provider exchange_operator", Tag.LISTING_WITHDRAWN) for source in _BEFORE_END),
        step(_L.WITHDRAWN, _L.ARCHIVED, "exchange_operator service", Tag.LISTING_ARCHIVED),
    ),
    allows={_L.LISTED: frozenset({"request"})},
)

DELISTED_FROM = frozenset({_L.LISTED, _L.SUSPENDED})
"""What is withdrawn from one of these was on the market before."""

# A word of Latin letters or digits, or a run of Chinese characters (with the extensions beyond the basic plane).
_RUN = re.compile(r"[a-z0-9]+|[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


def index_terms(text: str) -> set[str]:
    """Terms that a text is found by: words without plural, single characters and bigrams of Chinese runs."""
    terms: set[str] = set()
    for run in _runs(text):
        if _latin(run):
            terms.add(singular(run))
        else:
            terms |= set(run) | _bigrams(run)
    return terms


def query_terms(text: str) -> list[str]:
    """Terms that must all be present: words without plural, bigrams of Chinese runs, a lone character as itself."""
    terms: set[str] = set()
    for run in _runs(text):
        terms |= {singular(run)} if _latin(run) else (_bigrams(run) or {run})
    return sorted(terms)


def weigh(fields: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Term -> weight: that of the weightiest field that holds it.  fields: text and weight of each field."""
    weights: dict[str, int] = {}
    for text, weight in fields:
        for term in index_terms(text):
            weights[term] = max(weight, weights.get(term, 0))
    return weights


def singular(word: str) -> str:
    """A word without its simple English plural: studies -> study, masses -> mass, scans -> scan."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _runs(text: str) -> list[str]:
    return _RUN.findall(unicodedata.normalize("NFKC", text).lower())


def _latin(run: str) -> bool:
    return run[0].isascii()


def _bigrams(run: str) -> set[str]:
    return {run[i : i + 2] for i in range(len(run) - 1)}
