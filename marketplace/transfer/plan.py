"""What the delivery of an agreement is made from: the signed terms, and the files of the version that may leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets.models import Asset, Version, VersionFile
from marketplace.exchange.terms.delivery import AGGREGATE
from marketplace.governance.queries import facts_of
from marketplace.kernel.canonical import Json
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.queries import agreement as agreement_of
from marketplace.participants import queries as participants
from marketplace.transfer.aggregates import Table, tabulate
from marketplace.transfer.selection import Selection, row_of, select
from marketplace.usage.facts import compile_uses
from marketplace.usage.obligations import Leaving, Transformation, output_of, together

# Of these facts a file says more than a group does, so where groups are asked for the exact value stays here.
_FINER = {"age_band": "PatientAge"}


@dataclass(frozen=True)
class Plan:
    """What a delivery is made from.

    sources: the files that leave, in manifest order, none for a table; uses: compiled uses; duties: of all permissions,
    as data; leaving: what they come to; records: studies that leave or are counted; table: None for records.
    """

    agreement: Agreement
    asset: Asset
    version: Version
    sources: Sequence[VersionFile]
    provider_name: str
    uses: Json
    duties: list[Json]
    leaving: Leaving
    selection: Selection
    records: int
    table: Table | None

    @property
    def transformations(self) -> tuple[Transformation, ...]:
        return self.leaving.transformations

    @property
    def output(self) -> str:
        return output_of(self.uses)

    @property
    def smallest_group(self) -> int:
        """Persons in the smallest group of what leaves; 0 = nothing is left."""
        return self.selection.smallest_group if self.table is None else self.table.smallest

    @property
    def hidden(self) -> frozenset[str]:
        """Attributes that may not leave because they tell more than the groups do."""
        return frozenset(_FINER[fact] for fact in self.leaving.facts if fact in _FINER)


def plan_of(db: Session, agreement_id: str) -> Plan:
    """The plan of an agreement's delivery.  Raises NoSuchAgreement."""
    agreement = agreement_of(db, agreement_id)
    uses = compile_uses(agreement.uses).model_dump()
    version = assets.version(db, agreement.version_id)
    provider = participants.participant(db, agreement.provider_id)
    duties = _unique([duty for permission in uses["permissions"] for duty in permission["duties"]])
    leaving, files = together(duties), assets.files(db, version.id)
    selection, table = _judged(db, version, files, leaving, counted=output_of(uses) == AGGREGATE)
    kept = {row.path for row in selection.rows} if table is None else set[str]()
    return Plan(
        agreement,
        assets.asset(db, agreement.asset_id),
        version,
        [one for one in files if one.path in kept],
        f"{provider.legal_name} / {provider.legal_name_en}",
        uses,
        duties,
        leaving,
        selection,
        len({row.study for row in selection.rows}) if table is None else table.total,
        table,
    )


def _judged(
    db: Session, version: Version, files: Sequence[VersionFile], leaving: Leaving, *, counted: bool
) -> tuple[Selection, Table | None]:
    """The rows that may leave, or those that are counted: a table withholds its small groups by itself."""
    known = facts_of(db, version.id) if leaving.limits or leaving.facts else {}
    rows = [row_of(one.path, one.study, known.get(one.path, {})) for one in files]
    if not counted:
        return select(rows, leaving), None
    selection = select(rows, leaving.without_groups())
    return selection, tabulate(selection.rows, leaving.facts, leaving.smallest)


def _unique(duties: list[Json]) -> list[Json]:
    return [duty for at, duty in enumerate(duties) if duty not in duties[:at]]
