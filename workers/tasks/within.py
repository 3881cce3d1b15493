"""Tasks whose work is our own and short: it happens in the transaction that takes their row, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlmodel import Session

from marketplace.plumbing.runtime import Runtime

Rest: TypeAlias = Callable[[], Callable[[Session], None] | None]
"""What is done outside of any transaction, and then in the one that finishes the row."""
Begin: TypeAlias = Callable[[Session, Runtime, dict[str, Any]], Rest | None]
Plain: TypeAlias = Callable[[Runtime, dict[str, Any]], None]


@dataclass(frozen=True)
class Within:
    """A task that begins in the transaction of its row.

    begin: returns what remains to be done outside of it, None where nothing does; then the row is done with it.
    prompt: it is begun in the transaction that asks for it, where that can be (`workers.prompt`).
    """

    begin: Begin
    prompt: bool = False
