"""What was refused at the edge, counted by reason: callers without a name get no entries of their own, only a sum.

So do known callers who were told that there is no such thing, or that they ask too often.

Counts gather in memory, `flush` writes them as rows, `marketplace.audit.counted` makes one entry of the rows of a
period.  A process that is killed loses what it counted since its last flush, and nothing else.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import delete
from sqlmodel import Field, Session, SQLModel

from marketplace.kernel.ids import new_id
from marketplace.plumbing.db import Database, UtcDateTime

NOBODY = ""


class RefusalCount(SQLModel, table=True):
    """reason: slug; participant: who, where that was known, else empty; number: refusals."""

    __tablename__ = "refusal_count"

    id: str = Field(default_factory=lambda: new_id("rfc"), primary_key=True)
    reason: str
    participant: str = NOBODY
    number: int
    since: datetime = Field(sa_type=UtcDateTime)
    until: datetime = Field(sa_type=UtcDateTime)


@dataclass
class RefusalCounts:
    """The counts of this process, thread-safe.  Keys are reasons and participants, so they are few."""

    _numbers: Counter[tuple[str, str]] = field(default_factory=Counter)
    _since: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, reason: str, now: datetime, participant: str = NOBODY) -> None:
        """One more refusal."""
        with self._lock:
            self._numbers[reason, participant] += 1
            self._since = self._since or now

    def flush(self, database: Database, now: datetime) -> None:
        """Write what was counted as rows, in a transaction of its own; if that fails, the counts stay."""
        with self._lock:
            numbers, since = self._numbers, self._since or now
            self._numbers, self._since = Counter(), None
        if not numbers:
            return
        try:
            with database.transaction() as db:
                for (reason, participant), number in sorted(numbers.items()):
                    db.add(RefusalCount(reason=reason, participant=participant, number=number, since=since, until=now))
        except BaseException:
            with self._lock:
                self._numbers.update(numbers)
                self._since = since
            raise


def take_rows(db: Session) -> Sequence[RefusalCount]:
    """All rows, deleted in the present transaction: of two that ask at once only one gets each."""
    return db.exec(delete(RefusalCount).returning(RefusalCount)).scalars().all()
