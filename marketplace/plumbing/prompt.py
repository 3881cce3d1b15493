"""Commits that begin what their transaction has asked for, where this process can go on with it at once."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final, Protocol

from sqlmodel import Session

from marketplace.plumbing import bell

TAKER: Final = "taker"


class Taker(Protocol):
    """Whoever runs work in this process; what that is lies above this room."""

    def taking(self, db: Session) -> AbstractContextManager[None]:
        """Around a commit: what is begun before it goes on after it, and has never happened if it fails."""
        ...


class PromptSession(Session):
    """A session that offers its taker, before it commits, what its transaction has asked for."""

    def commit(self) -> None:
        taker: Taker | None = self.info.get(TAKER)
        if taker is None or self.in_nested_transaction() or not bell.has_asked(self):
            super().commit()
            return
        with taker.taking(self):
            super().commit()
