"""What a transfer of ours does by itself: it flows while its agreement is in force, and says so when that changes."""

from __future__ import annotations

from typing import Final

from sqlmodel import Session

from marketplace.dataspace import queries
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.states import TransferState
from marketplace.kernel.canonical import Json
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.rules import AgreementState

_A, _T = AgreementState, TransferState
_ENDED = (_A.TERMINATED, _A.EXPIRED, _A.SUPERSEDED)
_MOVES: Final = {
    (_A.FINALIZED, _T.REQUESTED): "start",
    (_A.SUSPENDED, _T.STARTED): "suspend",
    **{(ended, state): "terminate" for ended in _ENDED for state in (_T.REQUESTED, _T.STARTED, _T.SUSPENDED)},
}


def next_move(db: Session, exchange: Exchange) -> str | None:
    """Our next move by the state of the agreement; what somebody else suspended is not started again by us."""
    state = AgreementState(negotiation.agreement(db, exchange.agreement_id).state), TransferState(exchange.state)
    if state == (_A.FINALIZED, _T.SUSPENDED):
        return "start" if _suspended_with_the_agreement(db, exchange) else None
    return _MOVES.get(state)


def why(db: Session, exchange: Exchange) -> Json:
    """Code and reason of a suspension or termination that follows the agreement; nothing while that is in force."""
    agreement = negotiation.agreement(db, exchange.agreement_id)
    if agreement.state == _A.FINALIZED:
        return {}
    return {"code": f"agreement_{agreement.state}", "reason": [f"the agreement is {agreement.state}"]}


def _suspended_with_the_agreement(db: Session, exchange: Exchange) -> bool:
    taken = [one for one in queries.messages(db, exchange.id) if one.state == "taken"]
    return bool(taken) and taken[-1].ours and taken[-1].body.get("code") == f"agreement_{_A.SUSPENDED}"
