"""The full audit of the books."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlmodel import Session

from marketplace.audit.recheck import RowFinding
from marketplace.ledger import queries
from marketplace.ledger.recheck import recheck


@dataclass
class Audit:
    """What an audit found.  imbalance_minor: as `queries.imbalance`, 0 in honest books."""

    transactions: int = 0
    postings: int = 0
    imbalance_minor: int = 0
    findings: list[RowFinding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.findings


def audit(db: Session) -> Audit:
    """Every transaction sums to zero for each participant and currency, and the rows are those of the log."""
    findings = list(recheck(db))
    # Where nothing was found every sum was zero, and with them all balances.
    return Audit(*queries.counts(db), queries.imbalance(db) if findings else 0, findings)
