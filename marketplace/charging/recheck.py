"""Re-check the months' counters against the log: each is what its last `charging:use_priced` entry says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sqlmodel import Session, col, func, select

from marketplace.audit.entry import Tag
from marketplace.audit.recheck import RowFinding, rows, told
from marketplace.charging.models import ChargedStudy, MonthlyCharge

_Key = tuple[str, str]


def recheck(db: Session) -> Iterator[RowFinding]:
    """Months and counted studies that differ from their entries, are missing, or that no entry tells of."""
    last: dict[_Key, tuple[str, int, int]] = {}
    free: dict[_Key, int] = defaultdict(int)
    studies: dict[_Key, int] = defaultdict(int)
    for entry, facts in told(db, Tag.USE_PRICED):
        key = (str(facts.get("counted_under", entry.agreement)), str(facts["month"]))
        last[key] = (entry.id, int(facts["counted"]), facts["charged_fen"])
        free[key] += int(facts["free"])
        if facts["measure"] in {"case", "scan"}:
            studies[(key[0], "" if facts["measure"] == "case" else key[1])] += int(facts["quanta"])
    for row in rows(db, MonthlyCharge):
        if isinstance(row, RowFinding):
            yield row
        else:
            name: _Key = (row.agreement_id, row.month)
            yield from _month(row, free[name], last.pop(name, None))
    for (agreement, month), (entry_id, _, _) in last.items():
        yield RowFinding("monthly_charge", f"{agreement}/{month}", "deleted", "a charged month is missing", entry_id)
    yield from _studies(db, studies)


def _month(row: MonthlyCharge, free: int, said: tuple[str, int, int] | None) -> Iterator[RowFinding]:
    name = f"{row.agreement_id}/{row.month}"
    if said is None:
        if row.counted or row.charged_fen or row.trial_used:
            yield RowFinding("monthly_charge", name, "inserted", "no entry of the log charged this")
        return
    expected = {"counted": said[1], "charged_fen": said[2], "trial_used": free}
    for column, value in expected.items():
        if getattr(row, column) != value:
            yield RowFinding("monthly_charge", name, "edited", f"column `{column}` differs", said[0])


def _studies(db: Session, told_of: dict[_Key, int]) -> Iterator[RowFinding]:
    grouped = select(ChargedStudy.agreement_id, ChargedStudy.month, func.count()).group_by(
        col(ChargedStudy.agreement_id), col(ChargedStudy.month)
    )
    for owner, scope, number in db.exec(grouped):
        if told_of.pop((owner, scope), 0) != number:
            yield RowFinding("charged_study", f"{owner}/{scope}", "edited", "the entries counted another number")
    for (agreement, month), number in told_of.items():
        if number:
            yield RowFinding("charged_study", f"{agreement}/{month}", "deleted", "the entries counted studies here")
