"""How a refused use is answered: its reasons, their explanation in both languages, the clauses they follow from."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from fastapi import Response

from marketplace.audit import documents
from marketplace.kernel.errors import Forbidden
from marketplace.negotiation.queries import agreement
from marketplace.negotiation.refusals import clauses_behind
from marketplace.plumbing.problems import problem
from marketplace.plumbing.runtime import Runtime
from marketplace.transfer.opening import Refused

WRONG_PARTY = "wrong_party"
_REASONS = Path(__file__).resolve().parents[2] / "contracts" / "policy" / "reasons.json"


class UseRefused(Forbidden):
    """The policy refused this use."""


def refusal_of(runtime: Runtime, agreement_id: str, refused: Refused) -> Response:
    """The problem document of a recorded refusal."""
    with runtime.database.reading() as db:
        document = documents.content(db, agreement(db, agreement_id).document)
    codes = list(refused.decision.reasons)
    if WRONG_PARTY in codes:  # the other reasons tell a stranger how the contract stands; the log has them all
        codes = [WRONG_PARTY]
    error = UseRefused(
        "this use is not allowed: " + ", ".join(codes), action="read `explanations`; the refusal is in the log"
    )
    known = _explanations()
    extra = {
        "reasons": codes,
        "explanations": {code: known[code] for code in codes if code in known},
        "clauses": [] if WRONG_PARTY in codes else clauses_behind(document, codes),
        "revision": refused.decision.revision,
        "entry": refused.entry,
    }
    return problem(error, extra=extra)


@cache
def _explanations() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(_REASONS.read_text("utf-8"))
    return found
