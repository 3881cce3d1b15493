"""Who reads a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session, col, select

from marketplace.assets.models import Asset
from marketplace.console import codes
from marketplace.console.words import Language, Words, say
from marketplace.participants import queries as participants
from marketplace.participants.models import Participant


@dataclass(frozen=True)
class Reader:
    """Who reads a page: the session, the moment, the language.  known: names that were read together."""

    db: Session
    now: datetime
    language: Language
    known: dict[str, str] = field(default_factory=dict)

    def say(self, word: str) -> str:
        return say(word, self.language)

    def name(self, words: Words, code: str) -> str:
        """A stored code in the reader's language."""
        return codes.name(words, code, self.language)

    def name_of(self, participant: str) -> str:
        """An organisation's legal name in the reader's language."""
        return self.known.get(participant) or self.legal_name(participants.participant(self.db, participant))

    def legal_name(self, participant: Participant) -> str:
        """The same, of a row that is at hand."""
        return participant.legal_name_en if self.language == "en" else participant.legal_name

    def name_of_asset(self, asset: str | None) -> str:
        """An asset's name in the reader's language, of one that was met; a dash for none."""
        return self.known.get(asset or "", "–")

    def meet(self, participants: Iterable[str] = (), assets: Iterable[str | None] = ()) -> None:
        """Read the names of many participants and assets in one statement each, for `name_of` and `name_of_asset`."""
        parties, things = {*participants} - {*self.known}, {one for one in assets if one} - {*self.known}
        if parties:
            rows = select(Participant).where(col(Participant.id).in_(parties))
            self.known.update((one.id, self.legal_name(one)) for one in self.db.exec(rows))
        if things:
            names = Asset.name_en if self.language == "en" else Asset.name
            self.known.update(self.db.exec(select(Asset.id, names).where(col(Asset.id).in_(things))).all())
