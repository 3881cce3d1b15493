"""Reading what plans rest on: a provider's assets, its contracts, what was delivered, what is owed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import literal, or_, union_all
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from marketplace.assets.models import Asset, Version
from marketplace.assets.stages import Stage
from marketplace.costing.formulas import split_shares
from marketplace.exchange.indexing import label
from marketplace.exchange.models import CatalogueLine, CatalogueTerm, Demand, Listing, Offer
from marketplace.exchange.rules import ListingState
from marketplace.exchange.visibility import standing
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import Forbidden, NotFound, shown
from marketplace.ledger.models import LedgerTransaction
from marketplace.legal.models import Opinion, OpinionCondition
from marketplace.negotiation.duties.models import DeletionCertificate, Duty
from marketplace.negotiation.duties.rules import DutyState
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.rules import AgreementState, State
from marketplace.settlement.models import Invoice, InvoiceLine
from marketplace.settlement.rules import InvoiceState
from marketplace.transfer.models import Delivery, Transfer

LIVE = (AgreementState.FINALIZED.value, AgreementState.SUSPENDED.value)
ACCESS = "sale.access"
SALES = (ACCESS, "use.transfer")
_ASKING = (InvoiceState.ISSUED, InvoiceState.OVERDUE)
"""States of an invoice that asks for what is not received."""


class NotAProvider(Forbidden):
    """Only a provider, of its own assets, and auditors see this page."""


class NoSuchDemand(NotFound):
    """No such demand."""


@dataclass(frozen=True)
class Delivered:
    """What left under one agreement.

    records: studies of the version it was made from; output: `records` or `aggregate`; smallest_group: persons in the
    smallest group of what leaves; deleted: the buyer certified that it deleted it.
    """

    agreement: str
    version: str
    records: int
    output: str
    smallest_group: int
    deleted: bool


def whose(actor: Actor, provider: str | None) -> str:
    """The provider whose page is asked for: the caller itself, or the one an auditor names.  Raises NotAProvider."""
    asked = provider or actor.participant
    if not actor.has(Role.AUDITOR) and (asked != actor.participant or not actor.has(Role.PROVIDER)):
        raise NotAProvider("this page is for a provider about itself, and for auditors", got=asked)
    return asked


def assets(db: Session, provider: str) -> Sequence[Asset]:
    """A provider's assets in order of registration."""
    rows = select(Asset).where(Asset.provider_id == provider)
    return db.exec(rows.order_by(col(Asset.registered_at), col(Asset.id))).all()


def first_listed(db: Session, provider: str) -> dict[str, datetime]:
    """Asset -> when it was listed for the first time."""
    rows = select(Listing.asset_id, func.min(Listing.listed_at)).join(Offer, col(Offer.id) == col(Listing.offer_id))
    rows = rows.where(Offer.provider_id == provider, col(Listing.listed_at).is_not(None))
    return {asset: at for asset, at in db.exec(rows.group_by(col(Listing.asset_id))) if at is not None}


def listed_offers(db: Session, provider: str) -> dict[str, list[Offer]]:
    """Asset -> its offers that are on the exchange, of versions that are not retired, in order of listing."""
    rows = select(Offer).join(Listing, col(Offer.id) == col(Listing.offer_id))
    rows = rows.join(Version, col(Version.id) == col(Listing.version_id)).where(Version.stage != Stage.RETIRED)
    rows = rows.where(Offer.provider_id == provider, Listing.state == ListingState.LISTED)
    found = defaultdict(list)
    for offer in db.exec(rows.order_by(col(Listing.listed_at), col(Listing.id))):
        found[offer.asset_id].append(offer)
    return found


def live_agreements(db: Session, provider: str, now: datetime) -> Sequence[Agreement]:
    """A provider's agreements that are in force or suspended and whose term has not ended, in order of drafting."""
    rows = select(Agreement).where(Agreement.provider_id == provider, col(Agreement.state).in_(LIVE))
    rows = rows.where(col(Agreement.ends_at) > now)
    return db.exec(rows.order_by(col(Agreement.drafted_at), col(Agreement.id))).all()


def charged(db: Session, provider: str) -> dict[tuple[str, str], int]:
    """(agreement, kind of sale) -> fen posted, VAT included, less what was taken back."""
    amount = func.sum(LedgerTransaction.quantity * func.coalesce(LedgerTransaction.unit_price_minor, 0))
    names = (col(LedgerTransaction.agreement), col(LedgerTransaction.kind))
    rows = select(*names, amount)
    rows = rows.join(Agreement, col(Agreement.id) == col(LedgerTransaction.agreement))
    rows = rows.where(Agreement.provider_id == provider, col(LedgerTransaction.kind).in_(SALES)).group_by(*names)
    return {(str(agreement), kind): int(total) for agreement, kind, total in db.exec(rows)}


def delivered(db: Session, provider: str) -> list[Delivered]:
    """What left under a provider's agreements, by agreement."""
    left = select(Transfer.id).where(Transfer.agreement_id == Agreement.id, col(Transfer.served) > 0)
    columns = (Agreement.id, Version.id, Version.records, Delivery.output, Delivery.smallest_group)
    rows = (
        select(*columns)  # type: ignore[call-overload]
        .join(Version, col(Version.id) == col(Agreement.version_id))
        .join(Delivery, col(Delivery.agreement_id) == col(Agreement.id))
        .where(Agreement.provider_id == provider, left.exists())
    )
    proven = select(DeletionCertificate.agreement_id)
    proven = proven.join(Agreement, col(Agreement.id) == col(DeletionCertificate.agreement_id))
    gone = set(db.exec(proven.where(Agreement.provider_id == provider)))
    found = db.exec(rows.order_by(col(Agreement.id)))
    return [
        Delivered(agreement, version, records, output, group, agreement in gone)
        for agreement, version, records, output, group in found
    ]


def waiting_requests(db: Session, provider: str) -> int:
    """Requests that a provider has to answer."""
    rows = select(func.count()).select_from(AccessRequest)
    mine = (AccessRequest.provider_id == provider, col(AccessRequest.state).in_((State.REQUESTED, State.ACCEPTED)))
    return db.exec(rows.where(*mine)).one()


def duties(db: Session, provider: str) -> dict[str, int]:
    """State -> proofs that buyers owe under a provider's agreements and that are not met."""
    rows = select(Duty.state, func.count()).join(Agreement, col(Agreement.id) == col(Duty.agreement_id))
    rows = rows.where(Agreement.provider_id == provider, col(Duty.state) != DutyState.MET).group_by(col(Duty.state))
    return dict(db.exec(rows).all())


def open_conditions(db: Session, provider: str) -> Sequence[OpinionCondition]:
    """Conditions of signed opinions on a provider's assets that are not met, by due date."""
    rows = (
        select(OpinionCondition)
        .join(Opinion, col(Opinion.id) == col(OpinionCondition.opinion_id))
        .join(Version, col(Version.id) == col(Opinion.version_id))
        .join(Asset, col(Asset.id) == col(Version.asset_id))
        .where(Asset.provider_id == provider, Opinion.state == "signed", col(OpinionCondition.met_at).is_(None))
    )
    return db.exec(rows.order_by(col(OpinionCondition.due_at), col(OpinionCondition.id))).all()


def unpaid(db: Session, provider: str, now: datetime) -> tuple[int, int]:
    """(fen billed for a provider's sales and not paid, VAT included; the part of it that is past its due date).

    What has been paid of an invoice counts for those who are on it in proportion, by the largest remainder, so that
    what is left to them is together what the buyer still owes for it.  What the bank took back after it was paid is
    open again; what a refund that went out already adds to it is missing to the exchange and to nobody on the invoice.
    """
    mine = aliased(InvoiceLine)
    own = select(mine.id).where(mine.invoice_id == Invoice.id, mine.provider_id == provider)
    own = own.where(col(mine.credited_by).is_(None))
    whose = (Invoice.id, Invoice.state, Invoice.received_fen, Invoice.bounced_fen, Invoice.due_at)
    names = (*whose, InvoiceLine.provider_id)
    rows = select(*names, func.sum(InvoiceLine.price_fen)).join(  # type: ignore[call-overload]
        InvoiceLine, col(InvoiceLine.invoice_id) == col(Invoice.id)
    )
    rows = rows.where(own.exists(), col(InvoiceLine.credited_by).is_(None))
    rows = rows.where(or_(col(Invoice.state).in_(_ASKING), col(Invoice.bounced_fen) > 0))
    found = db.exec(rows.group_by(*names).order_by(col(Invoice.id), col(InvoiceLine.provider_id)))
    left = late = 0
    for (_, state, received, bounced, due), group in groupby(found, lambda one: one[: len(whose)]):
        # PostgreSQL sums BIGINT as NUMERIC, hence int().
        asked = {name: int(fen) for *_, name, fen in group}
        had = received if state in _ASKING else max(sum(asked.values()) - bounced, 0)
        paid = dict(zip(asked, split_shares(had, list(asked.values())), strict=True))
        left += asked[provider] - paid[provider]
        late += asked[provider] - paid[provider] if due <= now else 0
    return left, late


def listings_permitting(db: Session, purposes: Sequence[str], now: datetime) -> int:
    """How many listings that everybody sees now permit at least one of these purposes."""
    labels = [label("purpose", one) for one in purposes]
    rows = select(func.count(col(Listing.id).distinct()))
    rows = rows.join(CatalogueLine, col(CatalogueLine.listing_id) == col(Listing.id))
    rows = rows.join(CatalogueTerm, col(CatalogueTerm.number) == col(CatalogueLine.number))
    return int(db.exec(standing(rows, now).where(col(CatalogueTerm.term).in_(labels))).one())


def demands_for(db: Session, scenarios: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, int]]:
    """Code of a scenario -> (published demands for one of its purposes, buyers who publish them): one statement."""
    counts = [
        select(literal(code), func.count(), func.count(col(Demand.buyer_id).distinct()))
        .select_from(Demand)
        .where(col(Demand.purpose).in_(list(purposes)))
        for code, purposes in scenarios.items()
    ]
    return {code: (demands, buyers) for code, demands, buyers in db.execute(union_all(*counts))}


def demand(db: Session, demand_id: str) -> Demand:
    """One published demand.  Raises NoSuchDemand."""
    found = db.get(Demand, demand_id)
    if found is None:
        raise NoSuchDemand("no demand with this id", got=shown(demand_id))
    return found
