"""Reading what is capitalised, and from the books what it cost and what is written off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func
from sqlmodel import Session, col, select

from marketplace.accounting.models import Capitalisation
from marketplace.accounting.rules import WRITTEN_DOWN
from marketplace.assets import queries as assets
from marketplace.assets.models import Asset, Version
from marketplace.assets.stages import Stage
from marketplace.kernel.actor import Actor, Role
from marketplace.ledger.accounts import chart
from marketplace.ledger.models import AccountBalance, LedgerTransaction
from marketplace.ledger.queries import NET
from marketplace.registration import queries as registration
from marketplace.registration.models import Certificate


class StageCost(NamedTuple):
    """A cost of an asset on an expense account; version and stage are empty where it is of none."""

    version: str
    stage: str
    account: str
    minor: int


def capitalisation(db: Session, asset_id: str) -> Capitalisation | None:
    """How an asset is capitalised, None for one whose costs are expenses."""
    return db.get(Capitalisation, asset_id)


def held_capitalisation(db: Session, asset_id: str) -> Capitalisation | None:
    """The same, read anew and held by this transaction."""
    found = select(Capitalisation).where(Capitalisation.asset_id == asset_id).with_for_update()
    return db.exec(found.execution_options(populate_existing=True)).first()


def carried(db: Session) -> Sequence[str]:
    """Assets that are capitalised and not written off at a delisting."""
    return db.exec(select(Capitalisation.asset_id).where(col(Capitalisation.ended_at).is_(None))).all()


def retired(db: Session) -> set[str]:
    """Of the assets that are carried, those of which every certified version is retired: nobody can be sold one."""
    rows = select(col(Version.asset_id), col(Version.stage)).join(
        Certificate, col(Certificate.version_id) == col(Version.id)
    )
    stages = defaultdict[str, set[str]](set)
    for asset_id, stage in db.exec(rows.where(col(Version.asset_id).in_(carried(db)))):
        stages[asset_id].add(stage)
    return {asset_id for asset_id, found in stages.items() if found == {Stage.RETIRED}}


def capitalised_by(db: Session, provider_id: str | None) -> Sequence[Capitalisation]:
    """Everything that a provider has capitalised, or that anybody has, by asset."""
    rows = select(Capitalisation).order_by(col(Capitalisation.asset_id))
    return db.exec(rows if provider_id is None else rows.where(Capitalisation.provider_id == provider_id)).all()


def certificate_of(db: Session, asset_id: str, now: datetime) -> Certificate | None:
    """The certificate that lasts longest of those on which a version of an asset rests now."""
    found = [registration.valid_certificate(db, one, now) for one in assets.versions(db, asset_id)]
    return max((one for one in found if one is not None), key=lambda one: one.valid_until, default=None)


def stage_costs(db: Session, asset: Asset) -> list[StageCost]:
    """What the books hold of an asset's cost on its provider's expense accounts, by version, stage and account."""
    names = (col(AccountBalance.version), col(AccountBalance.stage), col(AccountBalance.account))
    expenses = [one.code for one in chart().accounts if one.kind == "expense" and one.sheet == "cost"]
    rows = select(*names, func.sum(NET)).where(
        AccountBalance.owner == asset.provider_id,
        AccountBalance.asset == asset.id,
        col(AccountBalance.account).in_(expenses),
    )
    found = db.exec(rows.group_by(*names).order_by(*names))
    return [StageCost(version, stage, account, int(minor)) for version, stage, account, minor in found if minor]


def costs_by(db: Session, owner: str | None, column: str) -> list[tuple[str, int]]:
    """Sums of the accounts that feed the cost of assets, by a column of the balances; of one participant or of all."""
    name = col(getattr(AccountBalance, column))
    rows = select(name, func.sum(NET)).where(col(AccountBalance.account).in_(chart().feeding("cost"))).group_by(name)
    found = db.exec(rows if owner is None else rows.where(AccountBalance.owner == owner))
    return [(str(of), int(minor)) for of, minor in found]


def department_of(db: Session, asset_id: str) -> str:
    """The department that an asset was registered for, empty for none."""
    found = db.get(Asset, asset_id)
    return "" if found is None else found.department


def readable_asset(db: Session, actor: Actor, asset_id: str) -> Asset:
    """An asset of the caller, for auditors any.  Raises NoSuchAsset."""
    return assets.asset(db, asset_id) if actor.has(Role.AUDITOR) else assets.own_asset(db, actor, asset_id)


def written_off(db: Session, row: Capitalisation) -> tuple[int, int]:
    """(minor units written off an asset so far, in how many transactions)."""
    down = select(func.sum(NET)).where(
        AccountBalance.owner == row.provider_id,
        AccountBalance.asset == row.asset_id,
        AccountBalance.account == WRITTEN_DOWN,
    )
    rows = select(func.count()).select_from(LedgerTransaction)
    rows = rows.where(LedgerTransaction.asset == row.asset_id, col(LedgerTransaction.kind).startswith("capital.sold"))
    return -int(db.exec(down).one() or 0), db.exec(rows).one()


def turnover(db: Session, row: Capitalisation, account: str, first: str, last: str) -> tuple[int, int]:
    """(minor units on an account of an asset before some months, minor units in them), debit positive."""
    mine = AccountBalance.owner == row.provider_id, AccountBalance.asset == row.asset_id
    sums = select(
        func.sum(NET).filter(col(AccountBalance.period) < first),
        func.sum(NET).filter(col(AccountBalance.period).between(first, last)),
    ).where(*mine, AccountBalance.account == account)
    before, inside = db.exec(sums).one()
    return int(before or 0), int(inside or 0)
