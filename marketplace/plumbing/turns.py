"""How many requests of a kind work at once, so that one kind cannot take every thread or connection from the others.

A request in a transaction needs a thread again and again until it commits.  If others could fill all threads while
they wait for its lock or for a connection, it would never get one: nobody would move until a timeout.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

import anyio
from anyio import CapacityLimiter

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class Turns(Enum):
    """A kind of request.

    Uploads and downloads have threads of their own, because a slow sender holds its thread for as long as it sends.
    Large bodies are what the memory is kept for while it is read and checked.
    Long answers (`pieces`) keep a connection for as long as they run, and have places and threads of their own, so that
    none that must end waits for a download.
    Questions wait for others' answers, with no transaction open meanwhile.  Looks read what somebody waits for, who has
    no turn while it waits (`plumbing.waiting`).
    """

    TRANSACTIONS = "transactions"
    UPLOADS = "uploads"
    DOWNLOADS = "downloads"
    LONG_ANSWERS = "long answers"
    LARGE_BODIES = "large bodies"
    QUESTIONS = "questions to others"
    LOOKS = "looks at what may change"

    @property
    def at_once(self) -> int:
        """How many of this kind there are."""
        return _AT_ONCE[self]

    def of(self, app: Any) -> CapacityLimiter:
        """The turns of this kind in an application."""
        kept: dict[Turns, CapacityLimiter] | None = getattr(app.state, "turns", None)
        if kept is None:
            kept = app.state.turns = {kind: CapacityLimiter(_AT_ONCE[kind]) for kind in Turns}
        return kept[self]


# Transactions, questions and looks stay below the server's 40 common threads, and the first two with the long answers
# of `pieces` below the 24 connections of `plumbing.db`; a look needs one for a moment.
_AT_ONCE = {
    Turns.TRANSACTIONS: 12,
    Turns.UPLOADS: 24,
    Turns.DOWNLOADS: 24,
    Turns.LONG_ANSWERS: 4,
    Turns.LARGE_BODIES: 16,
    Turns.QUESTIONS: 6,
    Turns.LOOKS: 8,
}
_declared: dict[Callable[..., Any], Turns] = {}


def waits_for_others(operation: F) -> F:
    """Give an operation turns of its own, because somebody else's answer is waited for in it."""
    _declared[operation] = Turns.QUESTIONS
    return operation


def waits_for_changes(operation: F) -> F:
    """Give an operation turns of its own, which it gives back while it waits until its answer is another one."""
    _declared[operation] = Turns.LOOKS
    return operation


def turns_of(operation: Callable[..., Any]) -> Turns:
    """The kind of turns that an operation takes."""
    return _declared.get(operation, Turns.TRANSACTIONS)


async def in_own_thread(turns: CapacityLimiter, work: Callable[[], R]) -> R:
    """Call a blocking function in a thread that is not one of the server's common ones, when it is its turn."""
    return await anyio.to_thread.run_sync(work, limiter=turns)
