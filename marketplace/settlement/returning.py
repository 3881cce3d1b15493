"""Telling a payee that the bank returned what it was paid: asked for here, written by `transfer.payment_notices`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from sqlmodel import Session

from marketplace.kernel.clock import timestamp
from marketplace.plumbing import outbox

NOTIFY_TASK = "transfer.notify_payment"


@dataclass(frozen=True)
class Returned:
    """A transfer that came back.  about: what it paid; owner: of the account, a participant or a part of one."""

    about: Literal["shares", "refund", "cost"]
    payer: str
    owner: str
    amount_fen: int
    order: str | None
    transfer: str | None


def tell(db: Session, back: Returned, entry: str, now: datetime) -> None:
    """Have the payee told in the present transaction's wake.  entry: id of the log entry that it is owed again."""
    told = asdict(back) | {"entry": entry, "said_at": timestamp(now)}
    outbox.enqueue(db, NOTIFY_TASK, told, key=entry, now=now)
