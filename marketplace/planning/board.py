"""What is looked for and what is offered, by the thirteen scenarios of the health authority's guide."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache

from pydantic import BaseModel, ConfigDict
from sqlmodel import Session

from marketplace.exchange.terms import CONTRACTS, PURPOSES
from marketplace.planning import queries

SCENARIOS = PURPOSES["schemes"]["scenario"]["codes"]


class Mentions(BaseModel):
    """Figures of a third party, never this exchange's own: how often functions are mentioned, by scenario.

    total: over all scenarios; a scenario that is not among mentions has no known figure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    title_zh: str
    third_party: bool
    source: str
    as_of: date
    total: int
    mentions: dict[str, int]
    named_as_thin: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One scenario.  demands, buyers: whose purpose the scenario counts; listings: that permit such a purpose now.

    A purpose belongs to several scenarios, so a demand or listing may count in several rows.
    mentions: third-party figure, None = not known; named_as_thin: by the same third party.
    """

    code: str
    en: str
    zh: str
    purposes: list[str]
    demands: int
    buyers: int
    listings: int
    mentions: int | None
    named_as_thin: bool

    @property
    def gap(self) -> int:
        """Demands for which there is no listing each; 0 when there are enough."""
        return max(self.demands - self.listings, 0)


@cache
def mentions() -> Mentions:
    """The third-party figures in force."""
    path = CONTRACTS / "planning" / "scenario-mentions-v1.json"
    return Mentions.model_validate(json.loads(path.read_text("utf-8")))


def board(db: Session, now: datetime) -> list[Row]:
    """Every scenario with its demands and listings of the moment, the widest gap first."""
    demands = queries.demands_for(db, {code: scenario["purposes"] for code, scenario in SCENARIOS.items()})
    rows = [_row(db, code, *demands[code], now) for code in SCENARIOS]
    return sorted(rows, key=lambda one: (-one.gap, one.listings))


def _row(db: Session, code: str, demands: int, buyers: int, now: datetime) -> Row:
    scenario, told = SCENARIOS[code], mentions()
    return Row(
        code=code,
        en=scenario["en"],
        zh=scenario["zh"],
        purposes=scenario["purposes"],
        demands=demands,
        buyers=buyers,
        listings=queries.listings_permitting(db, scenario["purposes"], now),
        mentions=told.mentions.get(code),
        named_as_thin=code in told.named_as_thin,
    )
