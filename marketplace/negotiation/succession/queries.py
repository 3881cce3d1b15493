"""Reading the acts on an agreement and its successors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from marketplace.kernel.errors import Conflict
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.succession.models import (
    AgreementAct,
    AgreementAssignment,
    AgreementSuccessor,
    SuccessorReview,
)
from marketplace.negotiation.succession.rules import ActState, SuccessorKind, SuccessorState
from marketplace.plumbing.snapshots import once_per_snapshot, remember

# Made once: to make it for each batch of decisions costs more than to run it.
_SUCCESSORS = select(AgreementSuccessor).where(
    col(AgreementSuccessor.agreement_id).in_(bindparam("agreements", expanding=True))
)


class NotAnAct(Conflict):
    """The document is no act on this agreement."""


def acts(db: Session, agreement_id: str) -> Sequence[AgreementAct]:
    """The acts in effect in order of their chain."""
    rows = select(AgreementAct).where(AgreementAct.agreement_id == agreement_id, col(AgreementAct.number).is_not(None))
    return db.exec(rows.order_by(col(AgreementAct.number))).all()


def prepared(db: Session, agreement_id: str) -> Sequence[AgreementAct]:
    """The acts that wait for a signature to take effect, the oldest first."""
    rows = select(AgreementAct).where(
        AgreementAct.agreement_id == agreement_id, AgreementAct.state == str(ActState.PREPARED)
    )
    return db.exec(rows.order_by(col(AgreementAct.made_at), col(AgreementAct.document))).all()


def unsigned(db: Session, agreement_id: str) -> list[AgreementAct]:
    """The acts that their side has still to sign: first those in effect, then those that wait for it."""
    in_effect = [one for one in acts(db, agreement_id) if one.state == ActState.UNSIGNED]
    return [*in_effect, *prepared(db, agreement_id)]


def head(db: Session, agreement: Agreement) -> tuple[int, str]:
    """Number and SHA-256 of the latest act in effect; 0 and the agreement's own document before the first."""
    latest = select(AgreementAct).where(
        AgreementAct.agreement_id == agreement.id, col(AgreementAct.number).is_not(None)
    )
    found = db.exec(latest.order_by(col(AgreementAct.number).desc())).first()
    return (found.number or 0, found.document) if found else (0, agreement.document)


def act(db: Session, agreement_id: str, document: str) -> AgreementAct:
    """One act on an agreement, read anew.  Raises NotAnAct."""
    found = db.get(AgreementAct, document, populate_existing=True)
    if found is None or found.agreement_id != agreement_id:
        raise NotAnAct(
            "this agreement has no act with this document", got=document, action="look at the agreement's succession"
        )
    return found


@once_per_snapshot
def succession(db: Session, agreement_id: str) -> AgreementSuccessor | None:
    """How an agreement came to follow another one, read anew; None for one that was asked for by itself."""
    return db.get(AgreementSuccessor, agreement_id, populate_existing=True)


def read_ahead(db: Session, agreement_ids: Collection[str]) -> None:
    """Read what came to take whose place for several agreements in one statement; inside `snapshot` only."""
    found = {one.agreement_id: one for one in db.exec(_SUCCESSORS, params={"agreements": list(agreement_ids)})}
    for name in agreement_ids:
        remember(db, succession, found.get(name), name)


def successors(db: Session, agreement_id: str) -> Sequence[AgreementSuccessor]:
    """Every successor that was proposed for an agreement, in order."""
    rows = select(AgreementSuccessor).where(AgreementSuccessor.predecessor_id == agreement_id)
    return db.exec(rows.order_by(col(AgreementSuccessor.proposed_at), col(AgreementSuccessor.agreement_id))).all()


def amendment(db: Session, agreement_id: str) -> AgreementSuccessor | None:
    """The amendment in force that took an agreement's place; there is one at most."""
    in_force = (SuccessorKind.AMENDMENT, SuccessorState.IN_FORCE)
    return next((one for one in successors(db, agreement_id) if (one.kind, one.state) == in_force), None)


def reviews(db: Session, document: str) -> Sequence[SuccessorReview]:
    """Who approved a successor, by its document, for which office, in order."""
    rows = select(SuccessorReview).where(SuccessorReview.document == document)
    return db.exec(rows.order_by(col(SuccessorReview.approved_at), col(SuccessorReview.reviewer))).all()


def amended(db: Session, agreement_id: str) -> Iterator[str]:
    """Ids of the agreements whose place this one took by amendment, the latest first."""
    found = succession(db, agreement_id)
    while found is not None and found.kind == SuccessorKind.AMENDMENT and found.state == SuccessorState.IN_FORCE:
        yield found.predecessor_id
        found = succession(db, found.predecessor_id)


def in_place_of(db: Session, agreement_id: str) -> str:
    """Id of the agreement that stands in an agreement's place now: itself, or the latest amendment."""
    while (following := amendment(db, agreement_id)) is not None:
        agreement_id = following.agreement_id
    return agreement_id


def assignments(db: Session, agreement_id: str) -> Sequence[AgreementAssignment]:
    """The assignments that a buyer asked for, in order."""
    rows = select(AgreementAssignment).where(AgreementAssignment.agreement_id == agreement_id)
    return db.exec(rows.order_by(col(AgreementAssignment.asked_at), col(AgreementAssignment.id))).all()
