"""A paid line: its payment enters the books and is divided into the shares of its beneficiaries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.costing.formulas import PriceSplit
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.ledger.rules import Dimensions
from marketplace.negotiation import queries as negotiation
from marketplace.settlement import queries
from marketplace.settlement.deposits import due_back, return_deposit
from marketplace.settlement.models import Invoice, InvoiceLine, Share
from marketplace.settlement.postings import Booking, payment, payment_key
from marketplace.settlement.waterfall import DEFAULT, Part, Scheme, divide, scheme

PROVIDERS_OWN = frozenset({"tax", "cost_recovery", "hospital"})
TREASURY = frozenset({"treasury", "treasury_cost"})


def settle_line(db: Session, found: Invoice, line: InvoiceLine, entry: str, booking: Booking, now: datetime) -> None:
    """Book the payment of an invoice's line and divide it down the provider's waterfall.

    The caller holds what it settles (`locks.hold_settled`).
    entry: log entry of the payment; that of the shares is the cause of their postings; booking: gets what the caller
    enters into the books.  Records: settlement:shares_settled; settlement:refund_owed where a deposit goes back.
    """
    about = Dimensions(asset=line.asset_id, agreement=line.agreement_id)
    parties = {"buyer": found.buyer_id, "venue": found.issuer_id, "provider": line.provider_id}
    amounts = {"amount": line.price_fen}
    _book(booking, "invoice.payment", line, "paid", parties, amounts, entry, now, about)
    if line.kind in {queries.BUYER_FEE, queries.DEPOSIT}:
        _book(booking, "settlement.fee", line, "fee", parties, amounts, entry, now, about)
        if line.kind == queries.DEPOSIT and line.agreement_id is not None and due_back(db, line.agreement_id, booking):
            return_deposit(db, negotiation.agreement(db, line.agreement_id), entry, booking, now)
        return
    split = _split(db, line)
    chosen, owners = _chosen(db, line.provider_id)
    parts = divide(split, chosen, queries.unrecovered(db, line.asset_id) if line.asset_id else 0)

    shares = [_share(found, line, part, owners) for part in parts]
    db.add_all(shares)
    db.flush()

    cause = _record_shares(db, found, line, chosen, shares, now)
    to_provider = split.price - split.exchange_fee
    sale = {"to_provider": to_provider, "exchange_fee": split.exchange_fee}
    _book(booking, "settlement.sale", line, "sale", parties, sale, cause, now, about)
    for share in shares:
        if share.role not in PROVIDERS_OWN | {"exchange_fee"}:
            kind = "settlement.treasury" if share.role in TREASURY else "settlement.share"
            beneficiary = parties | {"beneficiary": share.owner}
            _book(booking, kind, line, share.role, beneficiary, {"amount": share.amount_fen}, cause, now, about)
    if line.kind == queries.SUCCESS and line.agreement_id is not None:
        return_deposit(db, negotiation.agreement(db, line.agreement_id), entry, booking, now)


def _book(
    booking: Booking,
    kind: str,
    line: InvoiceLine,
    what: str,
    parties: Mapping[str, str],
    amounts: Mapping[str, int],
    entry: str,
    now: datetime,
    about: Dimensions,
) -> None:
    key = payment_key(line, what)
    draft = payment(kind, key, parties, amounts, entry=entry, at=now, about=about)  # type: ignore[arg-type]
    booking.drafts.append(draft)


def _split(db: Session, line: InvoiceLine) -> PriceSplit:
    """The levies as the books hold them with the sale, whatever the tariffs say by now."""
    posted = queries.parts(db, queries.standing(db, line))
    return PriceSplit(line.price_fen, posted["vat"], posted["surcharge"], posted["exchange_fee"])


def _chosen(db: Session, provider_id: str) -> tuple[Scheme, Json]:
    choice = queries.choice(db, provider_id)
    return (scheme(choice.scheme), choice.owners) if choice else (scheme(DEFAULT), {})


def _share(found: Invoice, line: InvoiceLine, part: Part, owners: Json) -> Share:
    return Share(
        line_id=line.id,
        role=part.role,
        issuer_id=found.issuer_id,
        provider_id=line.provider_id,
        asset_id=line.asset_id,
        owner=_owner(found, line, part.role, owners),
        amount_fen=part.amount_fen,
    )


def _owner(found: Invoice, line: InvoiceLine, role: str, owners: Json) -> str:
    if role in PROVIDERS_OWN:
        return line.provider_id
    if role == "exchange_fee":
        return found.issuer_id
    name = "treasury" if role in TREASURY else role
    return str(owners.get(name, f"{line.provider_id}:{name}"))


def _record_shares(
    db: Session, found: Invoice, line: InvoiceLine, chosen: Scheme, shares: list[Share], now: datetime
) -> str:
    facts: Json = {
        "invoice": found.id,
        "line": line.id,
        "transaction": line.transaction_id,
        "scheme": chosen.id,
        "price_fen": line.price_fen,
        "shares": [{"role": one.role, "owner": one.owner, "amount_fen": one.amount_fen} for one in shares],
    }
    return record(
        db, SERVICE_ACTOR, Tag.SHARES_SETTLED, now, asset=line.asset_id, agreement=line.agreement_id, facts=facts
    )
