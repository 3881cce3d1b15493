"""What an agreement's page shows of the rounds that led to it."""

from __future__ import annotations

from typing import Any

from marketplace.console import codes, formats
from marketplace.console.reader import Reader
from marketplace.negotiation import queries
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rounds.schemas import RoundOut
from marketplace.negotiation.rounds.shown import rounds_out


def part(reader: Reader, agreement: Agreement) -> dict[str, Any]:
    """`rounds` up to the one that was agreed, each with what it changed in the reader's language."""
    request = queries.request(reader.db, agreement.request_id)
    made = [one for one in rounds_out(reader.db, request) if one.made_at <= agreement.drafted_at]
    return {"rounds": [_round(reader, one) for one in made]}


def _round(reader: Reader, one: RoundOut) -> dict[str, Any]:
    changes = [change.en if reader.language == "en" else change.zh for change in one.changes]
    return {
        "number": one.round,
        "by": reader.name(codes.SIDES, one.by),
        "when": formats.minute(one.made_at, reader.language),
        "changes": changes or [reader.say("as_listed" if one.round == 1 else "nothing_changed")],
        "document": one.document,
    }
