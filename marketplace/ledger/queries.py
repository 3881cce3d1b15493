"""Reading the books, scoped to who asks where a participant reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, select

from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound
from marketplace.ledger.models import LedgerTransaction, Posting


class NoSuchTransaction(NotFound):
    """No such transaction in the books."""


@dataclass(frozen=True)
class Balance:
    """The sum of an account in a participant's sub-ledger, minor units, debit positive."""

    owner: str
    account: str
    currency: str
    amount_minor: int


def transaction(db: Session, transaction_id: str) -> LedgerTransaction:
    """One transaction: for other rooms.  Raises NoSuchTransaction."""
    found = db.get(LedgerTransaction, transaction_id)
    if found is None:
        raise NoSuchTransaction("no transaction with this id", got=transaction_id)
    return found


def by_key(db: Session, event_key: str) -> LedgerTransaction | None:
    """The transaction that a cause has led to, or None."""
    return db.exec(select(LedgerTransaction).where(LedgerTransaction.event_key == event_key)).first()


def postings(db: Session, transaction_id: str) -> Sequence[Posting]:
    """The postings of a transaction in the order they were made."""
    return db.exec(select(Posting).where(Posting.transaction_id == transaction_id).order_by(col(Posting.id))).all()


def balances(db: Session, *, owner: str | None = None) -> list[Balance]:
    """Every account that has postings, by owner, account and currency; of one participant or of all."""
    rows = (
        select(Posting.owner, Posting.account, Posting.currency, func.sum(Posting.amount_minor))
        .group_by(col(Posting.owner), col(Posting.account), col(Posting.currency))
        .order_by(col(Posting.owner), col(Posting.account), col(Posting.currency))
    )
    if owner is not None:
        rows = rows.where(Posting.owner == owner)
    # PostgreSQL sums BIGINT as NUMERIC, hence int().
    return [Balance(who, account, currency, int(total)) for who, account, currency, total in db.exec(rows)]


def visible_balances(db: Session, actor: Actor) -> list[Balance]:
    """The caller's own balances; an auditor sees everybody's."""
    return balances(db, owner=None if actor.has(Role.AUDITOR) else actor.participant)


def visible_transactions(
    db: Session, actor: Actor, *, after: str = "", limit: int = 50
) -> list[tuple[LedgerTransaction, list[Posting]]]:
    """Transactions with the caller's own postings, oldest first; an auditor sees all with every posting.

    after: id of the last transaction already read; limit: most transactions returned.
    """
    everything = actor.has(Role.AUDITOR)
    rows = select(LedgerTransaction).where(LedgerTransaction.id > after).order_by(col(LedgerTransaction.id))
    if not everything:
        own = select(Posting.transaction_id).where(Posting.owner == actor.participant)
        rows = rows.where(col(LedgerTransaction.id).in_(own))
    found = db.exec(rows.limit(limit)).all()

    lines = select(Posting).where(col(Posting.transaction_id).in_([one.id for one in found])).order_by(col(Posting.id))
    if not everything:
        lines = lines.where(Posting.owner == actor.participant)
    by_transaction: dict[str, list[Posting]] = {one.id: [] for one in found}
    for line in db.exec(lines):
        by_transaction[line.transaction_id].append(line)
    return [(one, by_transaction[one.id]) for one in found]


def imbalance(db: Session) -> int:
    """How far the books are off, minor units: the absolute sums of every transaction, participant and currency.

    0 in honest books; it reads every posting.
    """
    off = (
        select(func.abs(func.sum(Posting.amount_minor)))
        .group_by(col(Posting.transaction_id), col(Posting.owner), col(Posting.currency))
        .having(func.sum(Posting.amount_minor) != 0)
    )
    return sum(int(amount) for amount in db.exec(off))


def counts(db: Session) -> tuple[int, int]:
    """(transactions, postings) in the books."""
    transactions = db.exec(select(func.count()).select_from(LedgerTransaction)).one()
    return transactions, db.exec(select(func.count()).select_from(Posting)).one()


def asset_sums(db: Session, asset_id: str) -> dict[tuple[str, str | None], int]:
    """(account, stage) -> sum in minor units over everybody's postings about an asset."""
    rows = (
        select(Posting.account, Posting.stage, func.sum(Posting.amount_minor))
        .where(Posting.asset == asset_id)
        .group_by(col(Posting.account), col(Posting.stage))
    )
    return {(account, stage): int(total) for account, stage, total in db.exec(rows)}


def asset_quantities(db: Session, asset_id: str) -> dict[str, int]:
    """Kind of event -> units posted about an asset, less what was taken back."""
    rows = (
        select(LedgerTransaction.kind, func.sum(LedgerTransaction.quantity))
        .where(LedgerTransaction.asset == asset_id)
        .group_by(col(LedgerTransaction.kind))
    )
    return {kind: int(total) for kind, total in db.exec(rows)}
