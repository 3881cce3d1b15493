"""What a use is told of the delivery it would serve, and what that delivery still lacks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlmodel import Session

from marketplace.kernel.canonical import Json
from marketplace.negotiation.models import Agreement
from marketplace.transfer import queries
from marketplace.usage import queries as usage_queries
from marketplace.usage import rules
from marketplace.usage.obligations import unmet
from marketplace.usage.rules import Ruling, UseRequest


def as_seen(db: Session, agreement: Agreement, use: UseRequest) -> UseRequest:
    """A use with what would leave: as it was prepared, or until then as the terms ask."""
    if (delivery := queries.delivery(db, agreement.id)) is not None:
        leaves = delivery.output, delivery.smallest_group
    else:
        leaves = usage_queries.asked_to_leave(db, agreement)
    if leaves == (use.output, use.smallest_group):
        return use
    return replace(use, output=leaves[0], smallest_group=leaves[1])


def shortfall(ruling: Ruling, applied: Iterable[Json | str], use: UseRequest) -> str | None:
    """The reason code for which a delivery cannot serve an allowed use; None when it can.

    applied: its transformations, as it keeps them.
    """
    if unmet(ruling.decision.obligations, applied):
        return rules.OBLIGATION_NOT_APPLIED
    return rules.NOTHING_REMAINS if use.smallest_group == 0 else None
