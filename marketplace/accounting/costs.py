"""A provider's costs by asset, version, stage or department, and what a stage was expected to cost before it began."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from marketplace.accounting import queries
from marketplace.assets.models import Asset
from marketplace.costing.tariffs import TariffBook, tariff_attributes, tariff_book
from marketplace.kernel.actor import Actor, Role
from marketplace.ledger import queries as ledger
from marketplace.ledger.accounts import chart, posting_rules
from marketplace.participants import queries as participants

# What the making of an asset takes at least, with how many: None for each record.
PLAN: tuple[tuple[str, int | None], ...] = (
    ("governance.scan", None),
    ("legal.opinion", 1),
    ("registration.certificate", 1),
)


class Grouping(StrEnum):
    """What costs are summed by."""

    ASSET = "asset"
    VERSION = "version"
    STAGE = "stage"
    DEPARTMENT = "department"


@dataclass(frozen=True)
class CostGroup:
    """Costs of one asset, version, stage or department, fen.  name: empty for what is of none."""

    name: str
    cost_fen: int


@dataclass(frozen=True)
class EstimateLine:
    """A stage as it was to be expected and as the books have it, fen; variance: actual less estimate."""

    stage: str
    kind: str
    quantity: int
    unit_price_fen: int
    tariff: str
    estimate_fen: int
    actual_fen: int

    @property
    def variance_fen(self) -> int:
        return self.actual_fen - self.estimate_fen


@dataclass(frozen=True)
class Estimate:
    """What making an asset of so many records was to be expected to cost at a moment's tariffs, beside the books."""

    records: int
    rated_at: datetime
    lines: Sequence[EstimateLine]

    @property
    def estimate_fen(self) -> int:
        return sum(one.estimate_fen for one in self.lines)

    @property
    def actual_fen(self) -> int:
        return sum(one.actual_fen for one in self.lines)


def grouped(db: Session, actor: Actor, by: Grouping) -> list[CostGroup]:
    """The caller's own stage costs, largest first; an auditor sees everybody's.

    What was capitalised counts as the cost that it was, and nothing is written off here.
    """
    owner = None if actor.has(Role.AUDITOR) else actor.participant
    sums: dict[str, int] = defaultdict(int)
    for name, minor in queries.costs_by(db, owner, "asset" if by == Grouping.DEPARTMENT else str(by)):
        sums[queries.department_of(db, name) if by == Grouping.DEPARTMENT else name] += minor
    found = [CostGroup(name, minor) for name, minor in sums.items() if minor]
    return sorted(found, key=lambda one: (-one.cost_fen, one.name))


def estimate(db: Session, asset: Asset, records: int, *, book: TariffBook | None = None) -> Estimate:
    """What the stages of an asset were to be expected to cost on the day it was registered.  Raises NoTariff."""
    return Estimate(records, asset.registered_at, list(_lines(db, asset, records, book or tariff_book())))


def _lines(db: Session, asset: Asset, records: int, book: TariffBook) -> Iterator[EstimateLine]:
    provider = participants.participant(db, asset.provider_id)
    attributes = tariff_attributes(asset.modality, asset.body_part, provider.credit_code, provider.hospital_level) | {
        "records": records
    }
    costs, actual = chart().feeding("cost"), defaultdict[str, int](int)
    for (account, stage), minor in ledger.asset_sums(db, asset.id).items():
        if account in costs and stage is not None:
            actual[stage] += minor
    for kind, number in PLAN:
        published = book.at(kind, asset.registered_at, attributes)
        price, quantity = published.tariff.unit_price(attributes), records if number is None else number
        stage = str(posting_rules().rule(kind).stage)
        yield EstimateLine(stage, kind, quantity, price, published.id, quantity * price, actual[stage])
