"""What the adapters ask of the house: which data sets there are, what a message means here, which step is ours next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from sqlmodel import Session

from marketplace.dataspace.identity import Identity
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.states import Move
from marketplace.kernel.canonical import Json
from marketplace.participants.models import Participant
from marketplace.plumbing.runtime import Runtime

if TYPE_CHECKING:
    from marketplace.dataspace.hearing import Talk

FILTERS = ("text", "modality", "body_part", "purpose")
"""What a catalogue may be filtered by: the parameters of `exchange.catalogue.visible`."""


@dataclass(frozen=True)
class Patience:
    """How we send.  pace: waited before a message of ours; pauses: between its attempts, then it is given up.

    retried: HTTP statuses after which the same message is sent again; silence and errors of the network always are.
    """

    pace: timedelta
    pauses: Sequence[timedelta]
    retried: frozenset[int]


@dataclass(frozen=True)
class DatasetPage:
    """Data sets of one participant; next_cursor: None on the last page.

    datasets: read while they are taken, in the transaction that the page was asked for in; previous_cursor: None on the
    first page, empty where that comes before.
    """

    datasets: Iterable[Json]
    next_cursor: str | None
    previous_cursor: str | None = None


class Answering(Protocol):
    """One decision point; the product answers by its rooms, the conformance mode by a table."""

    identity: Identity
    patience: Patience

    def revision(self, db: Session, talk: Talk, now: datetime, *question: Any) -> str:
        """The ETag of an answer about data sets, before it is made: it differs whenever the answer may.

        question: whatever the answer depends on beside the catalogue, the caller and the moment; values of JSON.
        """
        ...

    def datasets(
        self, db: Session, talk: Talk, wanted: Mapping[str, str], cursor: str | None, now: datetime, limit: int
    ) -> DatasetPage:
        """A page of what a participant offers to who asks now.  wanted: by `FILTERS`.

        Raises BadCursor, UnknownCode.
        """
        ...

    def catalogues(self, db: Session, talk: Talk) -> Sequence[Participant]:
        """Whose catalogues are named in that of a participant."""
        ...

    def dataset(self, db: Session, talk: Talk, dataset_id: str, now: datetime) -> Json:
        """One data set that is offered to who asks now.  Raises NotInCatalogue."""
        ...

    def opened(self, db: Session, exchange: Exchange, message: Json, now: datetime) -> Sequence[str]:
        """Take up what the other side asks for; reason codes when it is refused, which is recorded.

        Raises NotInCatalogue, NoSuchAgreement and whatever the rooms raise.
        """
        ...

    def heard(
        self, db: Session, exchange: Exchange, move: Move, message: Json, runtime: Runtime, now: datetime
    ) -> Sequence[str]:
        """Do here what a move of the other side means, before it is taken; reason codes when it is refused, which is
        recorded.  Raises what the rooms raise.
        """
        ...

    def left(self, db: Session, exchange: Exchange, move: Move, now: datetime) -> None:
        """Stop at once what a move to come stops, whether or not the other side can be told."""
        ...

    def entered(self, db: Session, exchange: Exchange, now: datetime) -> None:
        """Begin here what the state that was just entered calls for."""
        ...

    def next(self, db: Session, exchange: Exchange) -> str | None:
        """The name of our own next move in the present state, None to wait."""
        ...

    def content(self, db: Session, exchange: Exchange, move: Move, runtime: Runtime, now: datetime) -> Json:
        """What a move of ours says beside the ids: the offer, the agreement, the address of the data."""
        ...

    def taken(self, db: Session, exchange: Exchange, move: Move, runtime: Runtime, now: datetime) -> Json:
        """What we answer a move of the other side with, beside the state that it led to."""
        ...
