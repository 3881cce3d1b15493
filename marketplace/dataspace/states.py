"""The two state machines of the Dataspace Protocol 2025-1, and which message makes which move."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from marketplace.audit.entry import Tag
from marketplace.kernel.transitions import Machine, NotYourStep, Step, WrongState, step
from marketplace.negotiation.rules import State as NegotiationState

MOVED = Tag.EXCHANGE_MOVED
BOTH = "consumer provider"


class Protocol(StrEnum):
    """Which of the two exchanges this is."""

    NEGOTIATION = "negotiation"
    TRANSFER = "transfer"


class Side(StrEnum):
    """Which part a connector plays in an exchange."""

    CONSUMER = "consumer"
    PROVIDER = "provider"

    @property
    def other(self) -> Side:
        return Side.PROVIDER if self is Side.CONSUMER else Side.CONSUMER


class TransferState(StrEnum):
    """How far a transfer has come."""

    REQUESTED = "REQUESTED"
    STARTED = "STARTED"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"


_N, _T = NegotiationState, TransferState

CONTRACT_NEGOTIATION = Machine(
    name="dataspace negotiation",
    steps=(
        step(_N.REQUESTED, _N.OFFERED, "provider", MOVED),
        step(_N.REQUESTED, _N.AGREED, "provider", MOVED),
        step(_N.OFFERED, _N.REQUESTED, "consumer", MOVED),
        step(_N.OFFERED, _N.ACCEPTED, "consumer", MOVED),
        step(_N.ACCEPTED, _N.AGREED, "provider", MOVED),
        step(_N.AGREED, _N.VERIFIED, "consumer", MOVED),
        step(_N.VERIFIED, _N.FINALIZED, "provider", MOVED),
        step(_N.REQUESTED, _N.TERMINATED, BOTH, MOVED),
        step(_N.OFFERED, _N.TERMINATED, BOTH, MOVED),
        step(_N.ACCEPTED, _N.TERMINATED, BOTH, MOVED),
        step(_N.AGREED, _N.TERMINATED, BOTH, MOVED),
        step(_N.VERIFIED, _N.TERMINATED, BOTH, MOVED),
    ),
)

TRANSFER_PROCESS = Machine(
    name="dataspace transfer",
    steps=(
        step(_T.REQUESTED, _T.STARTED, "provider", MOVED),
        step(_T.REQUESTED, _T.TERMINATED, BOTH, MOVED),
        step(_T.STARTED, _T.SUSPENDED, BOTH, MOVED),
        step(_T.STARTED, _T.COMPLETED, BOTH, MOVED),
        step(_T.STARTED, _T.TERMINATED, BOTH, MOVED),
        step(_T.SUSPENDED, _T.STARTED, BOTH, MOVED),
        step(_T.SUSPENDED, _T.TERMINATED, BOTH, MOVED),
    ),
    allows={_T.STARTED: frozenset({"use"})},
)


class HeldState(StrEnum):
    """What an agreement with a provider elsewhere is worth here."""

    IN_FORCE = "in_force"
    TERMINATED = "terminated"
    EXPIRED = "expired"


HELD_AGREEMENT = Machine(
    name="agreement with a provider elsewhere",
    steps=(
        step(HeldState.IN_FORCE, HeldState.TERMINATED, "provider", Tag.HELD_AGREEMENT_ENDED),
        step(HeldState.IN_FORCE, HeldState.EXPIRED, "provider service", Tag.HELD_AGREEMENT_ENDED),
    ),
    allows={HeldState.IN_FORCE: frozenset({"use"})},
)

MACHINES = {Protocol.NEGOTIATION: CONTRACT_NEGOTIATION, Protocol.TRANSFER: TRANSFER_PROCESS}
FINAL = frozenset({"FINALIZED", "TERMINATED", "COMPLETED"})


@dataclass(frozen=True)
class Move:
    """What one side says to the other.

    message: its `@type`; event: the `eventType` that tells moves of one type apart; path: after the receiver's id.
    carries: the one member that an exchange keeps of it, empty for none; whatever else is in a message changes nothing.
    """

    protocol: Protocol
    name: str
    message: str
    target: StrEnum
    path: str
    event: str = ""
    carries: str = ""


def _move(name: str, message: str, target: StrEnum, path: str, event: str = "", carries: str = "") -> tuple[str, Move]:
    protocol = Protocol.NEGOTIATION if isinstance(target, NegotiationState) else Protocol.TRANSFER
    return name, Move(protocol, name, message, target, path, event, carries)


MOVES: dict[Protocol, dict[str, Move]] = {
    Protocol.NEGOTIATION: dict(
        (
            _move("request", "ContractRequestMessage", _N.REQUESTED, "request", carries="offer"),
            _move("offer", "ContractOfferMessage", _N.OFFERED, "offers", carries="offer"),
            _move("accept", "ContractNegotiationEventMessage", _N.ACCEPTED, "events", "ACCEPTED"),
            _move("agree", "ContractAgreementMessage", _N.AGREED, "agreement", carries="agreement"),
            _move("verify", "ContractAgreementVerificationMessage", _N.VERIFIED, "agreement/verification"),
            _move("finalize", "ContractNegotiationEventMessage", _N.FINALIZED, "events", "FINALIZED"),
            _move("terminate", "ContractNegotiationTerminationMessage", _N.TERMINATED, "termination"),
        )
    ),
    Protocol.TRANSFER: dict(
        (
            _move("request", "TransferRequestMessage", _T.REQUESTED, "request", carries="dataAddress"),
            _move("start", "TransferStartMessage", _T.STARTED, "start", carries="dataAddress"),
            _move("suspend", "TransferSuspensionMessage", _T.SUSPENDED, "suspension"),
            _move("complete", "TransferCompletionMessage", _T.COMPLETED, "completion"),
            _move("terminate", "TransferTerminationMessage", _T.TERMINATED, "termination"),
        )
    ),
}


def step_of(protocol: Protocol, state: str, move: Move, by: Side) -> Step:
    """The row for a move by one side.  Raises WrongState, NotYourStep."""
    machine = MACHINES[protocol]
    return machine.step(type(move.target)(state), move.target, [by])


def is_step(protocol: Protocol, state: str, move: Move, by: Side) -> bool:
    """Whether one side may make a move in a state."""
    try:
        step_of(protocol, state, move, by)
    except (WrongState, NotYourStep):
        return False
    return True


def read_move(protocol: Protocol, path: str, event: str = "") -> Move | None:
    """The move that a path, and for events their type, means; None for none."""
    found = [one for one in MOVES[protocol].values() if one.path == path and one.event in {"", event}]
    return found[0] if found else None
