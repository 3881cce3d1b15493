"""The act as a document: what a side declares about a signed agreement, in both languages from the same data."""

from __future__ import annotations

import json
from datetime import datetime

from marketplace.exchange.templates import LANGUAGES
from marketplace.exchange.terms import CONTRACTS
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.rules import Side
from marketplace.negotiation.succession.rules import ActKind
from marketplace.participants.models import Participant

KIND = "agreement-act"
TYP = f"{KIND}+jws"
WORDS: Json = json.loads((CONTRACTS / "terms" / "acts.json").read_text("utf-8"))


def act_document(
    agreement: Agreement,
    kind: ActKind,
    side: Side,
    party: Participant,
    *,
    reason: str,
    previous: str,
    number: int,
    now: datetime,
) -> Json:
    """The document of `contracts/documents/agreement-act.schema.json`.

    previous: SHA-256 of the act before, or of the agreement's document; number: its place among the acts, from 1.
    """
    return {
        "type": KIND,
        "v": 1,
        "agreement": {"id": agreement.id, "sha256": agreement.document},
        "previous": previous,
        "number": number,
        "act": str(kind),
        "side": str(side),
        "party": party.id,
        "reason": reason,
        "at": timestamp(now),
        "text": {
            language: _text(agreement, kind, side, party, reason, timestamp(now), language) for language in LANGUAGES
        },
    }


def reason_in_words(code: str, language: str) -> str:
    """A reason in `zh` or `en`; a code that is not on the list stays as it is."""
    known = WORDS["reasons"].get(code)
    return str(known[language]) if known else code


def _text(
    agreement: Agreement, kind: ActKind, side: Side, party: Participant, reason: str, at: str, language: str
) -> Json:
    words = WORDS["acts"][kind][language]
    said = words["text"].format(
        side=WORDS["sides"][side][language],
        party=party.legal_name if language == "zh" else party.legal_name_en,
        agreement=agreement.id,
        sha256=agreement.document,
        reason=reason_in_words(reason, language),
        at=at,
    )
    return {"title": words["title"], "text": said}
