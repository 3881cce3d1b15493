"""Running balances: one row per account, period and subject, so that reading sums does not read postings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import func, text
from sqlmodel import Session, col, select

from marketplace.audit.recheck import RowFinding
from marketplace.ledger.models import AccountBalance
from marketplace.ledger.periods import TrialBalanceRow

_KEY = ("owner", "period", "account", "currency", "asset", "version", "stage")
Key = tuple[str, str, str, str, str, str, str]
_COLUMNS = (*_KEY, "debit_minor", "credit_minor")
_GROW = (
    f"INSERT INTO account_balance ({', '.join(_COLUMNS)}) VALUES ({{marks}}) "  # noqa: S608
    f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET debit_minor = account_balance.debit_minor + excluded.debit_minor, "
    "credit_minor = account_balance.credit_minor + excluded.credit_minor"
)
_SUBJECT = ", ".join(f"coalesce({name}, '') AS {name}" for name in ("asset", "version", "stage"))
# NOT INDEXED on SQLite: one scan in table order is faster than walking an index.
_DIFFERING = """
WITH told AS (
  SELECT owner, period, account, currency, {subject},
    sum(CASE WHEN amount_minor > 0 THEN amount_minor ELSE 0 END) AS debit_minor,
    -sum(CASE WHEN amount_minor < 0 THEN amount_minor ELSE 0 END) AS credit_minor
  FROM posting {scan} GROUP BY 1, 2, 3, 4, 5, 6, 7)
SELECT owner, period, account, currency, asset, version, stage, sum(debit_minor), sum(credit_minor) FROM (
  SELECT * FROM told UNION ALL
  SELECT owner, period, account, currency, asset, version, stage, -debit_minor, -credit_minor FROM account_balance
) AS compared GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(debit_minor) <> 0 OR sum(credit_minor) <> 0
"""


def add(db: Session, postings: Sequence[Mapping[str, Any]]) -> None:
    """Add postings that enter the books in this transaction to their balances, in one order for all writers."""
    turnover: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
    for one in postings:
        subject = (one["asset"] or "", one["version"] or "", one["stage"] or "")
        sums = turnover[one["owner"], one["period"], one["account"], one["currency"], *subject]
        sums[one["amount_minor"] < 0] += abs(one["amount_minor"])
    # Two transactions that take rows in different orders would wait for each other on PostgreSQL.
    rows = [(*key, *turnover[key]) for key in sorted(turnover)]
    if rows:
        marks = ", ".join(["?" if db.get_bind().dialect.name == "sqlite" else "%s"] * len(_COLUMNS))
        db.connection().exec_driver_sql(_GROW.format(marks=marks), rows)


def trial_balance(db: Session, period: str, *, owner: str | None = None) -> list[TrialBalanceRow]:
    """Every account with postings up to the end of a period; of one participant or of all."""
    inside = func.sum(AccountBalance.debit_minor).filter(col(AccountBalance.period) == period)
    given = func.sum(AccountBalance.credit_minor).filter(col(AccountBalance.period) == period)
    net = AccountBalance.debit_minor - AccountBalance.credit_minor
    before = func.sum(net).filter(col(AccountBalance.period) < period)
    names = (col(AccountBalance.owner), col(AccountBalance.account), col(AccountBalance.currency))
    rows = select(*names, before, inside, given).where(AccountBalance.period <= period)  # type: ignore[call-overload]
    if owner is not None:
        rows = rows.where(AccountBalance.owner == owner)
    found = db.exec(rows.group_by(*names).order_by(*names))
    return [TrialBalanceRow(*row[:3], *(int(value or 0) for value in row[3:])) for row in found]


def recheck(db: Session) -> Iterator[RowFinding]:
    """Balances that are not the sum of their postings."""
    scan = "NOT INDEXED" if db.get_bind().dialect.name == "sqlite" else ""
    for row in db.connection().execute(text(_DIFFERING.format(subject=_SUBJECT, scan=scan))):
        detail = f"the balance is off by {-int(row[7])} debit and {-int(row[8])} credit from its postings"
        yield RowFinding("account_balance", "/".join(row[:7]), "edited", detail)
