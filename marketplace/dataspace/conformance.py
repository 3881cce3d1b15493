"""The conformance mode: the kit's data sets and agreements are answered by one table, everything else as ever.

It stands at the same decision point as the product's answers and is on only where settings name the kit's connector.
The kit has no channel to say what it wants next: it says it by the ids of data sets and agreements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

from sqlmodel import Session

from marketplace.dataspace import datasets as described
from marketplace.dataspace.answering import DatasetPage, Patience
from marketplace.dataspace.hearing import OtherTerms, Talk
from marketplace.dataspace.house import House
from marketplace.dataspace.identity import Caller, Identity, SignedTokens, UnknownConnector, require_trusted
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.policies import rules_of
from marketplace.dataspace.states import Move, Protocol, Side
from marketplace.kernel.canonical import Json
from marketplace.participants import connectors
from marketplace.plumbing.runtime import Runtime

KIT = "Bearer conformance-kit"
"""What the kit sends as Authorization: it signs nothing."""

# Per process: state -> our moves, the first at the first visit of the state, the second at the second.
PROVIDES: dict[str, dict[str, tuple[str, ...]]] = {
    "ACN0101": {"REQUESTED": ("offer",)},
    "ACN0102": {"REQUESTED": ("offer", "terminate")},
    "ACN0103": {"REQUESTED": ("offer",), "ACCEPTED": ("agree",), "VERIFIED": ("finalize",)},
    "ACN0104": {"REQUESTED": ("agree",), "VERIFIED": ("finalize",)},
    "ACN0201": {"REQUESTED": ("terminate",)},
    "ACN0202": {},
    "ACN0203": {"REQUESTED": ("agree",)},
    "ACN0204": {"REQUESTED": ("offer",)},
    "ACN0205": {"REQUESTED": ("offer",), "OFFERED": ("terminate",)},
    "ACN0206": {"REQUESTED": ("offer",), "ACCEPTED": ("terminate",)},
    "ACN0207": {"REQUESTED": ("agree",), "VERIFIED": ("terminate",)},
    "ACN0301": {"REQUESTED": ("agree",), "VERIFIED": ("finalize",)},
    "ACN0302": {"REQUESTED": ("offer",)},
    "ACN0303": {"REQUESTED": ("offer",)},
    "ACN0304": {"REQUESTED": ("offer",)},
}
CONSUMES: dict[str, dict[str, tuple[str, ...]]] = {
    "ACNC0101": {"OFFERED": ("accept",), "AGREED": ("verify",)},
    "ACNC0102": {"OFFERED": ("request",)},
    "ACNC0103": {"OFFERED": ("terminate",)},
    "ACNC0104": {"AGREED": ("verify",)},
    "ACNC0201": {},
    "ACNC0202": {"REQUESTED": ("terminate",)},
    "ACNC0203": {"AGREED": ("terminate",)},
    "ACNC0204": {},
    "ACNC0205": {"OFFERED": ("accept",)},
    "ACNC0206": {"AGREED": ("verify",)},
    "ACNC0301": {},
    "ACNC0302": {},
    "ACNC0303": {},
    "ACNC0304": {"OFFERED": ("accept",)},
    "ACNC0305": {"OFFERED": ("accept",)},
    "ACNC0306": {"OFFERED": ("accept",)},
}
SENDS: dict[str, dict[str, tuple[str, ...]]] = {
    "ATP0101": {"REQUESTED": ("start",), "STARTED": ("terminate",)},
    "ATP0102": {"REQUESTED": ("start",), "STARTED": ("complete",)},
    "ATP0103": {"REQUESTED": ("start",), "STARTED": ("suspend",), "SUSPENDED": ("terminate",)},
    "ATP0104": {"REQUESTED": ("start",), "STARTED": ("suspend", "complete"), "SUSPENDED": ("start",)},
    "ATP0105": {"REQUESTED": ("terminate",)},
    "ATP0201": {"REQUESTED": ("start",)},
    "ATP0202": {"REQUESTED": ("start",)},
    "ATP0203": {"REQUESTED": ("start",)},
    "ATP0204": {"REQUESTED": ("start",)},
    "ATP0205": {},
    "ATP0301": {},
    "ATP0302": {},
    "ATP0303": {"REQUESTED": ("start",)},
    "ATP0304": {"REQUESTED": ("start",)},
    "ATP0305": {"REQUESTED": ("start",)},
    "ATP0306": {"REQUESTED": ("start",)},
}
PULLS: dict[str, dict[str, tuple[str, ...]]] = {
    "ATPC0101": {},
    "ATPC0102": {},
    "ATPC0103": {},
    "ATPC0104": {},
    "ATPC0105": {},
    "ATPC0201": {"STARTED": ("terminate",)},
    "ATPC0202": {"STARTED": ("complete",)},
    "ATPC0203": {"STARTED": ("suspend",), "SUSPENDED": ("terminate",)},
    "ATPC0204": {"STARTED": ("suspend", "complete"), "SUSPENDED": ("start",)},
    "ATPC0205": {"REQUESTED": ("terminate",)},
    "ATPC0301": {},
    "ATPC0302": {},
    "ATPC0303": {},
    "ATPC0304": {},
    "ATPC0305": {},
    "ATPC0306": {},
}
CATALOGUE = ("CAT0101", "CAT0102")
USE: Json = {"permission": [{"action": "use"}]}
_TABLES = {
    (Protocol.NEGOTIATION, Side.PROVIDER): PROVIDES,
    (Protocol.NEGOTIATION, Side.CONSUMER): CONSUMES,
    (Protocol.TRANSFER, Side.PROVIDER): SENDS,
    (Protocol.TRANSFER, Side.CONSUMER): PULLS,
}


def offer_of(dataset_id: str) -> str:
    """The id of the offer that the kit names for a data set."""
    return f"CD123:{dataset_id}:456"


class KitIdentity(SignedTokens):
    """The kit's one header means its registered connector; whatever else comes is judged as ever."""

    def who(self, db: Session, authorization: str, audience: str, now: datetime, runtime: Runtime) -> Caller:
        if authorization != KIT:
            return super().who(db, authorization, audience, now, runtime)
        found = connectors.by_identifier(db, runtime.settings.dataspace_conformance)
        if found is None:
            raise UnknownConnector("the kit's connector is not registered", action="register it as the docs say")
        return Caller(require_trusted(db, found, now))


class Table(House):
    """The table's answers where the id is one of the kit's, the product's everywhere else."""

    identity: Identity = KitIdentity()
    # The kit listens for a message only from the step on that expects it, and answers 404 before that.
    patience = Patience(
        pace=timedelta(milliseconds=400),
        pauses=[timedelta(milliseconds=300)] * 30,
        retried=House.patience.retried | {404, 409},
    )

    def datasets(
        self, db: Session, talk: Talk, wanted: Mapping[str, str], cursor: str | None, now: datetime, limit: int
    ) -> DatasetPage:
        page = super().datasets(db, talk, wanted, cursor, now, limit)
        ours = [_dataset(one) for one in (*CATALOGUE, *PROVIDES)] if cursor is None and not wanted else []
        return replace(page, datasets=chain(ours, page.datasets))

    def dataset(self, db: Session, talk: Talk, dataset_id: str, now: datetime) -> Json:
        if dataset_id in CATALOGUE or dataset_id in PROVIDES:
            return _dataset(dataset_id)
        return super().dataset(db, talk, dataset_id, now)

    def opened(self, db: Session, exchange: Exchange, message: Json, now: datetime) -> Sequence[str]:
        if not _is_the_kits(exchange):
            return super().opened(db, exchange, message, now)
        if exchange.protocol == Protocol.NEGOTIATION and (message["offer"]["@id"], rules_of(message["offer"])) != (
            offer_of(exchange.subject),
            USE,
        ):
            raise OtherTerms("the data set has another offer", expected=offer_of(exchange.subject))
        return ()

    def next(self, db: Session, exchange: Exchange) -> str | None:
        if not _is_the_kits(exchange):
            return super().next(db, exchange)
        moves = _table(exchange)[exchange.subject].get(exchange.state, ())
        visit = exchange.visits[exchange.state] - 1
        return moves[visit] if visit < len(moves) else None

    def entered(self, db: Session, exchange: Exchange, now: datetime) -> None:
        if not _is_the_kits(exchange):
            super().entered(db, exchange, now)

    def heard(
        self, db: Session, exchange: Exchange, move: Move, message: Json, runtime: Runtime, now: datetime
    ) -> Sequence[str]:
        return () if _is_the_kits(exchange) else super().heard(db, exchange, move, message, runtime, now)

    def left(self, db: Session, exchange: Exchange, move: Move, now: datetime) -> None:
        if not _is_the_kits(exchange):
            super().left(db, exchange, move, now)


def _is_the_kits(exchange: Exchange) -> bool:
    return exchange.subject in _table(exchange)


def _table(exchange: Exchange) -> dict[str, dict[str, tuple[str, ...]]]:
    return _TABLES[Protocol(exchange.protocol), Side(exchange.side)]


def _dataset(dataset_id: str) -> Json:
    return described.plain_dataset(dataset_id, {"@id": offer_of(dataset_id), "@type": "Offer"} | USE)
