"""A payment, whole or in part: the books say so, and what is paid as a whole is settled down the waterfall."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import Session, select

from marketplace.assets.models import Asset
from marketplace.audit.entry import Tag, record
from marketplace.costing.formulas import PriceSplit
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json, sha256_hex
from marketplace.kernel.errors import Invalid
from marketplace.ledger import service as ledger
from marketplace.ledger.rules import Dimensions
from marketplace.negotiation import queries as negotiation
from marketplace.settlement import queries
from marketplace.settlement.bank.queries import bank_entry, hold_bank
from marketplace.settlement.billing import record_invoice
from marketplace.settlement.chasing import let_go
from marketplace.settlement.deposits import due_back, return_deposit
from marketplace.settlement.models import BankEntry, Invoice, InvoiceLine, Share
from marketplace.settlement.postings import payment, payment_key
from marketplace.settlement.refunding import owe_surplus
from marketplace.settlement.rules import INVOICE, InvoiceState
from marketplace.settlement.waterfall import DEFAULT, Part, Scheme, divide, scheme

PROVIDERS_OWN = frozenset({"tax", "cost_recovery", "hospital"})
TREASURY = frozenset({"treasury", "treasury_cost"})


class WrongAmount(Invalid):
    """The payment has no amount, or its reference paid something else."""


def pay(
    db: Session,
    actor: Actor,
    found: Invoice,
    reference: str,
    amount_fen: int,
    now: datetime,
    *,
    by_hand: bool = True,
) -> Invoice:
    """Take a payment; the same bank reference again changes nothing.

    A part leaves the invoice open for the rest; what is paid beyond it is owed back to the buyer.
    reference: as `name_of_reference` gives it; by_hand: no statement has told it yet.  A credit that named no
    invoice is taken by its own reference and sum.  The agreements that the unpaid invoice held are let go on when it is
    paid as a whole.  Raises WrongAmount, WrongState, NotYourStep.
    Records: settlement:invoice_part_paid; or settlement:invoice_paid, settlement:shares_settled per line,
    negotiation:agreement_resumed, settlement:refund_owed; ledger:posted.
    """
    hold_bank(db, found.issuer_id)
    queries.lock(db, found)
    known = bank_entry(db, found.issuer_id, reference)

    if known is not None and known.invoice_id == found.id:
        return found
    if known is not None and (known.outcome != "no_invoice" or known.amount_fen != amount_fen):
        raise WrongAmount("this reference paid something else", expected="another bank reference", got=reference)
    by_hand = by_hand and known is None  # a credit that named no invoice was told by the bank
    INVOICE.step(
        InvoiceState.ISSUED if found.bounced_fen else InvoiceState(found.state), InvoiceState.PAID, actor.roles
    )
    if amount_fen < 1:
        raise WrongAmount("a payment has an amount", expected="1 fen or more", got=f"{amount_fen} fen")
    if found.bounced_fen:
        return _make_good(db, actor, found, reference, amount_fen, now, by_hand=by_hand)
    part, about = min(amount_fen, open_fen(found)), {"reference": reference, "amount_fen": amount_fen}

    found.received_fen += part
    db.add(found)
    outcome = "overpaid" if amount_fen > part else "part_paid" if open_fen(found) else "paid"
    db.merge(_taken(found, reference, amount_fen, outcome, now, by_hand=by_hand))
    db.flush()

    if open_fen(found):
        entry = record_invoice(db, actor, Tag.INVOICE_PART_PAID, found, now, about | {"open_fen": open_fen(found)})
        _post_whole(db, found, "payment.part", f"part:{reference}", part, entry, now)
    else:
        entry = _close(db, actor, found, found.received_fen - part, about, now)
    if amount_fen > part:
        owe_surplus(db, found, f"settlement:{found.id}:surplus:{reference}", amount_fen - part, entry, now)
    return found


def open_fen(found: Invoice) -> int:
    """What is still asked for, fen; below zero where a credit note took more off than was left to pay."""
    return found.total_fen - found.credited_fen - found.received_fen


def pay_again(db: Session, actor: Actor, found: Invoice, reference: str, amount_fen: int, now: datetime) -> None:
    """Take a payment for an invoice that asks for nothing any more: all of it is owed back.

    Records: settlement:invoice_part_paid, ledger:posted, settlement:refund_owed.
    """
    about = {"reference": reference, "amount_fen": amount_fen, "open_fen": 0}
    entry = record_invoice(db, actor, Tag.INVOICE_PART_PAID, found, now, about)
    db.add(_taken(found, reference, amount_fen, "overpaid", now))
    db.flush()
    owe_surplus(db, found, f"settlement:{found.id}:surplus:{reference}", amount_fen, entry, now)


def _make_good(
    db: Session, actor: Actor, found: Invoice, reference: str, amount_fen: int, now: datetime, *, by_hand: bool
) -> Invoice:
    """Take a payment in place of one that the bank took back after the lines were settled."""
    part = min(amount_fen, found.bounced_fen)
    found.bounced_fen -= part
    found.received_fen += part
    db.add(found)
    outcome = "overpaid" if amount_fen > part else "part_paid" if found.bounced_fen else "paid"
    db.merge(_taken(found, reference, amount_fen, outcome, now, by_hand=by_hand))
    db.flush()
    about = {"reference": reference, "amount_fen": amount_fen, "open_fen": found.bounced_fen}
    entry = record_invoice(db, actor, Tag.INVOICE_PART_PAID, found, now, about)
    _post_whole(db, found, "payment.part", f"part:{reference}", part, entry, now)
    if amount_fen > part:
        owe_surplus(db, found, f"settlement:{found.id}:surplus:{reference}", amount_fen - part, entry, now)
    return found


def cover(db: Session, actor: Actor, found: Invoice, entry: str, now: datetime) -> None:
    """After a credit note: close an invoice that its parts now cover, and owe back what they were too much.

    entry: of the credit note.  Records: what `pay` records.
    """
    surplus = -open_fen(found)
    if found.paid_at is not None or not found.received_fen or surplus < 0:
        return
    found.received_fen -= surplus
    db.add(found)
    if found.state == InvoiceState.CREDITED:
        _post_whole(db, found, "payment.applied", "applied", surplus, entry, now)
    else:
        _close(db, actor, found, found.received_fen + surplus, {"covered_by_parts": True}, now)
    if surplus:
        owe_surplus(db, found, f"settlement:{found.id}:surplus:{entry}", surplus, entry, now)


def _close(db: Session, actor: Actor, found: Invoice, parts_fen: int, about: Json, now: datetime) -> str:
    """Settle every line of an invoice that is paid as a whole; returns the entry.

    parts_fen: what earlier payments have brought into the books for the invoice as a whole.
    """
    step = INVOICE.step(InvoiceState(found.state), InvoiceState.PAID, actor.roles)
    lines = [one for one in queries.lines(db, found.id) if one.credited_by is None]
    found.state, found.paid_at = step.target, now
    db.add(found)
    db.flush()
    entry = record_invoice(db, actor, Tag(step.tag), found, now, about)
    _post_whole(db, found, "payment.applied", "applied", parts_fen, entry, now)
    for line in lines:
        _settle(db, found, line, entry, now)
    let_go(db, lines, now)
    return entry


def _post_whole(db: Session, found: Invoice, kind: str, what: str, fen: int, entry: str, now: datetime) -> None:
    """Post what concerns an invoice as a whole: a part, or that the parts are booked to the lines instead."""
    if fen:
        parties = {"buyer": found.buyer_id, "venue": found.issuer_id}
        key = f"settlement:{found.id}:{what}"
        draft = payment(kind, key, parties, {"amount": fen}, entry=entry, at=now, about=Dimensions())  # type: ignore[arg-type]
        ledger.post(db, SERVICE_ACTOR, draft, now)


def name_of_reference(reference: str) -> str:
    """What a bank's reference is known by here: words of a stranger do not enter the log.  The same gives the same."""
    return sha256_hex(reference.encode())[:32]


def _taken(
    found: Invoice, reference: str, amount_fen: int, outcome: str, now: datetime, *, by_hand: bool = False
) -> BankEntry:
    return BankEntry(
        issuer_id=found.issuer_id,
        reference=reference,
        invoice_id=found.id,
        amount_fen=amount_fen,
        outcome=outcome,
        by_hand=by_hand,
        taken_at=now,
    )


def _settle(db: Session, found: Invoice, line: InvoiceLine, entry: str, now: datetime) -> None:
    """Post a line's payment and divide it; the shares' entry is the cause of their postings."""
    about = Dimensions(asset=line.asset_id, agreement=line.agreement_id)
    parties = {"buyer": found.buyer_id, "venue": found.issuer_id, "provider": line.provider_id}
    amounts = {"amount": line.price_fen}
    _post(db, "invoice.payment", line, "paid", parties, amounts, entry, now, about)
    if line.kind in {queries.BUYER_FEE, queries.DEPOSIT}:
        _post(db, "settlement.fee", line, "fee", parties, amounts, entry, now, about)
        if line.kind == queries.DEPOSIT and line.agreement_id is not None and due_back(db, line.agreement_id):
            return_deposit(db, negotiation.agreement(db, line.agreement_id), entry, now)
        return
    split = _split(db, line)
    chosen, owners = _chosen(db, line.provider_id)
    if line.asset_id is not None:  # two payments at once must not repay the same cost twice
        db.exec(select(Asset.id).where(Asset.id == line.asset_id).with_for_update()).first()
    parts = divide(split, chosen, queries.unrecovered(db, line.asset_id) if line.asset_id else 0)

    shares = [_share(found, line, part, owners) for part in parts]
    db.add_all(shares)
    db.flush()

    cause = _record_shares(db, found, line, chosen, shares, now)
    to_provider = split.price - split.exchange_fee
    sale = {"to_provider": to_provider, "exchange_fee": split.exchange_fee}
    _post(db, "settlement.sale", line, "sale", parties, sale, cause, now, about)
    for share in shares:
        if share.role not in PROVIDERS_OWN | {"exchange_fee"}:
            kind = "settlement.treasury" if share.role in TREASURY else "settlement.share"
            beneficiary = parties | {"beneficiary": share.owner}
            _post(db, kind, line, share.role, beneficiary, {"amount": share.amount_fen}, cause, now, about)
    if line.kind == "sale.success" and line.agreement_id is not None:
        return_deposit(db, negotiation.agreement(db, line.agreement_id), entry, now)


def _post(
    db: Session,
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
    ledger.post(db, SERVICE_ACTOR, draft, now)


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
