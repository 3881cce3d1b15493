"""Shares on their way through the bank: confirmed by its statement, or owed again when their transfer comes back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.ledger.rules import Dimensions, Draft
from marketplace.settlement.models import InvoiceLine, Share
from marketplace.settlement.postings import Booking, payment
from marketplace.settlement.returning import Returned, tell


def confirm(
    db: Session, actor: Actor, shares: Sequence[Share], bank_reference: str, booking: Booking, now: datetime
) -> None:
    """Note that the bank has carried out the transfers of shares; those that are paid already stay as they are.

    Where an earlier transfer came back, its return is reversed in the books.
    bank_reference: as `name_of_reference` gives it; booking: gets what the caller enters into the books.
    Records: settlement:shares_paid per transfer.
    """
    for group in _by_transfer(one for one in shares if one.paid_at is None):
        booking.taken_back.extend(key for one in group if (key := returned_key(one)) is not None)
        for one in group:
            one.paid_at, one.returned_as = now, None
            db.add(one)
        db.flush()
        record(db, actor, Tag.SHARES_PAID, now, facts=_facts(group) | {"bank": bank_reference})


def owe_again(
    db: Session, actor: Actor, shares: Sequence[Share], bank_reference: str, booking: Booking, now: datetime
) -> None:
    """Note that transfers of shares came back: the exchange holds them again and owes them to their owners.

    The next payment order has them, at the account that their owner has named by then, and the owner is told.
    bank_reference: as `name_of_reference` gives it; booking: gets what the caller enters into the books.
    Records: settlement:shares_owed per transfer.
    """
    for group in _by_transfer(shares):
        first, facts = group[0], _facts(group) | {"returned": bank_reference}
        back = Returned("shares", first.issuer_id, first.owner, facts["amount_fen"], first.order_id, first.reference)
        fresh = [one for one in group if one.returned_as is None]
        for one in group:
            one.returned_as = one.returned_as or one.reference
            one.order_id = one.reference = one.paid_at = None
            db.add(one)
        db.flush()
        entry = record(db, actor, Tag.SHARES_OWED, now, facts=facts)
        booking.drafts.extend(_return(db, one, entry, now) for one in fresh)
        tell(db, back, entry, now)


def returned_key(share: Share) -> str | None:
    """The key of the posting that says a share came back, None while none stands."""
    if share.returned_as is None:
        return None
    return f"settlement:{share.line_id}:{share.role}:returned:{share.returned_as}"


def _return(db: Session, share: Share, entry: str, now: datetime) -> Draft:
    line, key = db.get_one(InvoiceLine, share.line_id), returned_key(share)
    about = Dimensions(asset=line.asset_id, agreement=line.agreement_id)
    parties, amounts = {"venue": share.issuer_id, "beneficiary": share.owner}, {"amount": share.amount_fen}
    return payment("share.returned", str(key), parties, amounts, entry=entry, at=now, about=about)  # type: ignore[arg-type]


def _by_transfer(shares: Iterable[Share]) -> list[list[Share]]:
    found = defaultdict[str, list[Share]](list)
    for one in shares:
        if one.reference is not None:
            found[one.reference].append(one)
    return [found[name] for name in sorted(found)]


def _facts(group: Sequence[Share]) -> Json:
    return {
        "issuer": group[0].issuer_id,
        "owner": group[0].owner,
        "order": group[0].order_id,
        "transfer": group[0].reference,
        "shares": len(group),
        "amount_fen": sum(one.amount_fen for one in group),
    }
