"""Which clauses of a contract a refused use follows from."""

from __future__ import annotations

import json
from collections.abc import Iterable

from marketplace.exchange.terms import CONTRACTS
from marketplace.kernel.canonical import Json

CLAUSES: Json = json.loads((CONTRACTS / "terms" / "reasons.json").read_text("utf-8"))
_ANYTHING = "machine_terms"


def clauses_behind(document: Json, reasons: Iterable[str]) -> list[Json]:
    """The clauses of an agreement that refuse, in its order: [{id, number, zh, en}], zh and en being their titles.

    reasons: codes of `contracts/policy/reasons.json`; each leads to one clause.  Empty for a document without text.
    """
    text = document.get("text", {"zh": {"clauses": []}, "en": {"clauses": []}})
    ids = [one["id"] for one in text["zh"]["clauses"]]
    named = {next((one for one in (*CLAUSES.get(code, []), _ANYTHING) if one in ids), None) for code in reasons}
    both = zip(text["zh"]["clauses"], text["en"]["clauses"], strict=True)
    return [
        {"id": zh["id"], "number": number, "zh": zh["title"], "en": en["title"]}
        for number, (zh, en) in enumerate(both, start=1)
        if zh["id"] in named
    ]
