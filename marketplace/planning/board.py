"""What is looked for and what is offered, by the thirteen scenarios of the health authority's guide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache

from pydantic import BaseModel, ConfigDict
from sqlmodel import Session

from marketplace.exchange import queries as exchange
from marketplace.exchange.models import Demand
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
    demands = exchange.demands(db)
    rows = [_row(db, code, demands, now) for code in SCENARIOS]
    return sorted(rows, key=lambda one: (-one.gap, one.listings))


def _row(db: Session, code: str, demands: Sequence[Demand], now: datetime) -> Row:
    scenario, told = SCENARIOS[code], mentions()
    wanted = [one for one in demands if one.purpose in scenario["purposes"]]
    return Row(
        code=code,
        en=scenario["en"],
        zh=scenario["zh"],
        purposes=scenario["purposes"],
        demands=len(wanted),
        buyers=len({one.buyer_id for one in wanted}),
        listings=queries.listings_permitting(db, scenario["purposes"], now),
        mentions=told.mentions.get(code),
        named_as_thin=code in told.named_as_thin,
    )
