"""Reading the books, scoped to who asks where a participant reads."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, text
from sqlmodel import Session, col, select

from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import Invalid, NotFound
from marketplace.ledger.journal import Journal, JournalTransaction
from marketplace.ledger.journal import transaction as journal_transaction
from marketplace.ledger.models import AccountBalance, LedgerPeriod, LedgerTransaction, Posting
from marketplace.ledger.periods import PeriodState
from marketplace.plumbing.db import rows_of
from marketplace.plumbing.keeping import forget
from marketplace.plumbing.paging import Order, Paged
from marketplace.plumbing.questions import Objects, Question, alone

KEYS = 500
EXPORTED = 20_000
CLOSING_LOCK = 0x6C6564676572
"""Held shared by who posts and alone by who closes a period; the number only has to be ours."""
NET = AccountBalance.debit_minor - AccountBalance.credit_minor

_LATEST = Order((col(LedgerTransaction.id),), (col(LedgerTransaction.id),), latest_first=True)
_CLOSED = Question(select(func.max(LedgerPeriod.period)).where(col(LedgerPeriod.state) == PeriodState.CLOSED), alone)
_IDS_BY_KEY = select(LedgerTransaction.event_key, LedgerTransaction.id).where(
    col(LedgerTransaction.event_key).in_(bindparam("keys", expanding=True))
)
_BY_KEY = Objects(
    LedgerTransaction, select(LedgerTransaction).where(col(LedgerTransaction.event_key) == bindparam("key"))
)


class TooMuchToExport(Invalid):
    """More than one answer takes."""


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


def transactions(db: Session, ids: Sequence[str]) -> list[LedgerTransaction]:
    """Transactions in the order given: for other rooms.  Raises NoSuchTransaction."""
    found: dict[str, LedgerTransaction] = {}
    for start in range(0, len(ids), KEYS):
        wanted = col(LedgerTransaction.id).in_(ids[start : start + KEYS])
        found |= {one.id: one for one in db.exec(select(LedgerTransaction).where(wanted))}
    for name in ids:
        if name not in found:
            raise NoSuchTransaction("no transaction with this id", got=name)
    return [found[name] for name in ids]


def by_key(db: Session, event_key: str) -> LedgerTransaction | None:
    """The transaction that a cause has led to, or None."""
    return _BY_KEY.first(db, key=event_key)


def postings(db: Session, transaction_id: str) -> Sequence[Posting]:
    """The postings of a transaction in the order they were made."""
    return db.exec(select(Posting).where(Posting.transaction_id == transaction_id).order_by(col(Posting.id))).all()


def standing(db: Session, meter_events: Sequence[str]) -> dict[str, tuple[LedgerTransaction, int]]:
    """Metered event -> the posting of it that was not taken back, and how often it was posted, the first included."""
    found: dict[str, tuple[LedgerTransaction, int]] = {}
    for start in range(0, len(meter_events), KEYS):
        wanted = col(LedgerTransaction.meter_event).in_(meter_events[start : start + KEYS])
        rows = db.exec(select(LedgerTransaction).where(wanted).order_by(col(LedgerTransaction.id))).all()
        back = {one.reverses for one in rows if one.reverses is not None}
        posted = [one for one in rows if one.reverses is None]
        times = Counter(one.meter_event for one in posted)
        found |= {str(one.meter_event): (one, times[one.meter_event]) for one in posted if one.id not in back}
    return found


def postings_of(db: Session, transactions: Sequence[str]) -> dict[str, list[Posting]]:
    """Transaction -> its postings in the order they were made."""
    found: dict[str, list[Posting]] = defaultdict(list)
    for start in range(0, len(transactions), KEYS):
        wanted = col(Posting.transaction_id).in_(transactions[start : start + KEYS])
        for line in db.exec(select(Posting).where(wanted).order_by(col(Posting.id))):
            found[line.transaction_id].append(line)
    return found


def transactions_of_asset(
    db: Session, asset_id: str, accounts: Collection[str], *, cursor: str | None, limit: int
) -> Paged[LedgerTransaction]:
    """Transactions about an asset that post to some accounts, the latest first: for other rooms.

    Raises NotOnThisList.
    """
    posted = select(Posting.id).where(
        Posting.transaction_id == LedgerTransaction.id, col(Posting.account).in_(sorted(accounts))
    )
    rows = select(LedgerTransaction).where(LedgerTransaction.asset == asset_id, posted.exists())
    return _LATEST.page(db, rows, cursor, limit)


def ids_by_key(db: Session, keys: Sequence[str]) -> dict[str, str]:
    """Event key -> id of its transaction, for the keys that are in the books."""
    found: dict[str, str] = {}
    for start in range(0, len(keys), KEYS):
        found.update(rows_of(db, _IDS_BY_KEY, keys=keys[start : start + KEYS]))
    return found


def posted_by_others(db: Session, keys: Sequence[str]) -> dict[str, str]:
    """As `ids_by_key`, for keys that were refused: what another transaction has posted since they were looked up.

    None on SQLite, where a transaction that writes is alone: what is there of these keys is its own.
    """
    return {} if db.get_bind().dialect.name == "sqlite" else ids_by_key(db, keys)


def hold_open(db: Session, *, alone: bool = False) -> None:
    """Keep periods from being closed until this transaction ends; alone: keep everybody from posting as well."""
    if db.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time
        shared = "" if alone else "_shared"
        db.connection().execute(text(f"SELECT pg_advisory_xact_lock{shared}({CLOSING_LOCK})"))
        forget(db)


def closed_through(db: Session) -> str | None:
    """The last closed period; None while none is."""
    closed: str | None = _CLOSED.first(db)
    return closed


def period(db: Session, name: str) -> LedgerPeriod | None:
    """A period that was closed at least once, read anew."""
    return db.get(LedgerPeriod, name, populate_existing=True)


def periods(db: Session) -> Sequence[LedgerPeriod]:
    """Every period that was closed at least once, oldest first."""
    return db.exec(select(LedgerPeriod).order_by(col(LedgerPeriod.period))).all()


def first_period(db: Session, *, after: str = "") -> str | None:
    """The first period with postings, or with postings after another period; None for none."""
    return db.exec(select(func.min(LedgerTransaction.period)).where(LedgerTransaction.period > after)).one()


def counts_in(db: Session, period: str) -> tuple[int, int]:
    """(transactions, postings) that count in a period."""
    inside = select(LedgerTransaction.id).where(LedgerTransaction.period == period)
    postings = select(func.count()).select_from(Posting).where(col(Posting.transaction_id).in_(inside))
    return db.exec(select(func.count()).select_from(inside.subquery())).one(), db.exec(postings).one()


def balances(db: Session, *, owner: str | None = None) -> list[Balance]:
    """Every account that has postings, by owner, account and currency; of one participant or of all.

    From the running balances: its cost does not grow with the postings.
    """
    names = (col(AccountBalance.owner), col(AccountBalance.account), col(AccountBalance.currency))
    rows = select(*names, func.sum(NET)).group_by(*names).order_by(*names)
    if owner is not None:
        rows = rows.where(AccountBalance.owner == owner)
    # PostgreSQL sums BIGINT as NUMERIC, hence int().
    return [Balance(who, account, currency, int(total)) for who, account, currency, total in db.exec(rows)]


def visible_balances(db: Session, actor: Actor) -> list[Balance]:
    """The caller's own balances; an auditor sees everybody's."""
    return balances(db, owner=None if actor.has(Role.AUDITOR) else actor.participant)


def visible_transactions(
    db: Session, actor: Actor, *, after: str = "", limit: int = 50, months: tuple[str, str] | None = None
) -> list[tuple[LedgerTransaction, list[Posting]]]:
    """Transactions with the caller's own postings, oldest first; an auditor sees all with every posting.

    after: id of the last transaction already read; limit: most transactions returned; months: the first and the last
    in which they count.
    """
    everything = actor.has(Role.AUDITOR)
    rows = select(LedgerTransaction).where(LedgerTransaction.id > after).order_by(col(LedgerTransaction.id))
    if not everything:
        mine = select(Posting.transaction_id).where(Posting.owner == actor.participant)
        rows = rows.where(col(LedgerTransaction.id).in_(mine))
    if months is not None:
        rows = rows.where(col(LedgerTransaction.period).between(*months))
    found = db.exec(rows.limit(limit)).all()

    lines = postings_of(db, [one.id for one in found])
    own = {name: [one for one in of if everything or one.owner == actor.participant] for name, of in lines.items()}
    return [(one, own.get(one.id, [])) for one in found]


def require_exportable(db: Session, actor: Actor, first: str, last: str) -> None:
    """Let through what one answer can hold.  Raises TooMuchToExport."""
    rows = select(LedgerTransaction.id).where(col(LedgerTransaction.period).between(first, last))
    if not actor.has(Role.AUDITOR):
        mine = select(Posting.transaction_id).where(Posting.owner == actor.participant)
        rows = rows.where(col(LedgerTransaction.id).in_(mine))
    found = db.exec(select(func.count()).select_from(rows.limit(EXPORTED + 1).subquery())).one()
    if found > EXPORTED:
        raise TooMuchToExport(
            "these months hold more than one answer takes",
            expected=f"at most {EXPORTED} transactions",
            action="ask for fewer months, or use `marketplace books export`, which reads page by page",
        )


def journal(db: Session, actor: Actor, first: str, last: str) -> Journal:
    """The caller's own books of some months, an auditor's everybody's, to be read while the transaction lasts."""
    owner = None if actor.has(Role.AUDITOR) else actor.participant
    net = func.sum(NET)
    names = (col(AccountBalance.owner), col(AccountBalance.account), col(AccountBalance.currency))
    before = select(*names, net).where(AccountBalance.period < first).group_by(*names).order_by(*names)
    if owner is not None:
        before = before.where(AccountBalance.owner == owner)
    opening = {(who, account, currency): int(total) for who, account, currency, total in db.exec(before) if total}
    return Journal(first, last, opening, _transactions(db, actor, first, last))


def _transactions(db: Session, actor: Actor, first: str, last: str) -> Iterator[JournalTransaction]:
    after: str | None = ""
    while after is not None:
        page = visible_transactions(db, actor, after=after, limit=KEYS, months=(first, last))
        yield from (journal_transaction(one, lines) for one, lines in page)
        after = page[-1][0].id if len(page) == KEYS else None
        db.expunge_all()


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


def asset_sums(db: Session, asset_id: str, *, version: str | None = None) -> dict[tuple[str, str | None], int]:
    """(account, stage) -> sum in minor units over everybody's postings about an asset, or about one version of it."""
    names = (col(AccountBalance.account), col(AccountBalance.stage))
    rows = select(*names, func.sum(NET)).where(AccountBalance.asset == asset_id).group_by(*names)
    if version is not None:
        rows = rows.where(AccountBalance.version == version)
    return {(account, stage or None): int(total) for account, stage, total in db.exec(rows)}


def sums_of_assets(db: Session, assets: Collection[str]) -> dict[str, dict[tuple[str, str | None], int]]:
    """Asset -> what `asset_sums` says of it, read at once; an asset without postings is left out."""
    names = (col(AccountBalance.asset), col(AccountBalance.account), col(AccountBalance.stage))
    rows = select(*names, func.sum(NET)).where(col(AccountBalance.asset).in_(assets)).group_by(*names)
    found = defaultdict[str, dict[tuple[str, str | None], int]](dict)
    for asset, account, stage, total in db.exec(rows):
        found[asset][account, stage or None] = int(total)
    return found


def asset_quantities(db: Session, asset_id: str) -> dict[str, int]:
    """Kind of event -> units posted about an asset, less what was taken back."""
    return quantities_of_assets(db, [asset_id]).get(asset_id, {})


def quantities_of_assets(db: Session, assets: Collection[str]) -> dict[str, dict[str, int]]:
    """Asset -> what `asset_quantities` says of it, read at once; an asset without postings is left out."""
    names = (col(LedgerTransaction.asset), col(LedgerTransaction.kind))
    rows = select(*names, func.sum(LedgerTransaction.quantity))
    found = defaultdict[str, dict[str, int]](dict)
    for asset, kind, total in db.exec(rows.where(col(LedgerTransaction.asset).in_(assets)).group_by(*names)):
        found[str(asset)][kind] = int(total)
    return found
