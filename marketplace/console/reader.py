"""Who reads a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.console import codes
from marketplace.console.words import Language, Words, say
from marketplace.participants import queries as participants


@dataclass(frozen=True)
class Reader:
    """Who reads a page: the session, the moment, the language."""

    db: Session
    now: datetime
    language: Language

    def say(self, word: str) -> str:
        return say(word, self.language)

    def name(self, words: Words, code: str) -> str:
        """A stored code in the reader's language."""
        return codes.name(words, code, self.language)

    def name_of(self, participant: str) -> str:
        """An organisation's legal name in the reader's language."""
        found = participants.participant(self.db, participant)
        return found.legal_name_en if self.language == "en" else found.legal_name
