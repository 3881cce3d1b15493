"""What decides an answer of the catalogue, read before the answer is: who holds its ETag holds the answer.

Three things change what is shown.  Rows: the database draws a number with every transaction that changes one
(`CatalogueRevision`).  The clock: the latest moment that has passed at which something begins or ends tells which of
them have passed.  The program: its digest.  Beside them stand the question, the facts about who asks, and the form of
the answer.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlmodel import Session, col

from marketplace.exchange.catalogue import Wanted
from marketplace.exchange.models import CatalogueRevision, Exclusivity
from marketplace.exchange.terms import CONTRACTS
from marketplace.kernel.canonical import canonical, sha256_hex
from marketplace.legal.models import Opinion, OpinionCondition
from marketplace.registration.models import Certificate, Right

# Every moment that `visibility.standing` compares with the clock.  Each of them is one that has passed from its very
# instant on, as it is there.
MOMENTS: Final = (
    col(Certificate.issued_at),
    col(Certificate.valid_until),
    col(Right.starts_at),
    col(Right.ends_at),
    col(Opinion.expires_at),
    col(OpinionCondition.due_at),
    col(Exclusivity.ends_at),
)
_PACKAGE: Final = Path(__file__).resolve().parent.parent


def etag(db: Session, now: datetime, *question: Any) -> str:
    """The weak ETag of an answer of this moment, in one statement, to be read in the answer's own transaction.

    question: whatever else decides the answer: what is asked, the asker's facts, the form; values of JSON.  Weak, since
    it stands for what decides and not for the bytes (RFC 9110, 8.8.1).
    """
    number, *passed = db.execute(state(now)).one()
    latest = max((one for one in passed if one is not None), default=None)
    decides = [release(), number, latest.isoformat() if latest else None, *question]
    return f'W/"{sha256_hex(canonical(decides))[:32]}"'


def state(now: datetime) -> Any:
    """The statement: the rows' number, and of each kind of moment the latest that has passed, each by its index."""
    passed = [sa.select(one).where(one <= now).order_by(one.desc()).limit(1).scalar_subquery() for one in MOMENTS]
    return sa.select(col(CatalogueRevision.number), *passed)


def asked(wanted: Wanted) -> list[Any]:
    """What a catalogue is narrowed to, with the facts about the asker that its eligibility is decided by."""
    asker = wanted.asker
    who = [asker.id, asker.kind, asker.foreign_controlled] if asker is not None else []
    words = [wanted.text, wanted.modality, wanted.body_part, wanted.purpose, wanted.provider]
    return [*words, who, wanted.named]


@cache
def release() -> str:
    """SHA-256 over the program and the contracts it reads: another release may say the same in other words."""
    digest = hashlib.sha256()
    for folder, kind in ((_PACKAGE, "*.py"), (CONTRACTS, "*.json")):
        for path in sorted(folder.rglob(kind)):
            digest.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
