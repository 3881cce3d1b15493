"""What an agreement's page shows of what followed it: its chain of acts and successors, with reasons and signatures."""

from __future__ import annotations

from typing import Any

from marketplace.console import codes, formats
from marketplace.console.reader import Reader
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.schemas import SignatureOut
from marketplace.negotiation.succession import shown
from marketplace.negotiation.succession.document import reason_in_words
from marketplace.negotiation.succession.schemas import ActOut, AssignmentOut, SuccessorOut


def part(reader: Reader, agreement: Agreement) -> dict[str, Any]:
    """`chain`: acts, successors and assignments in order of time; `follows`: how it came after another agreement."""
    found = shown.succession(reader.db, agreement)
    lines = [
        *((one.made_at, _act(reader, one)) for one in (*found.acts, *found.prepared)),
        *((one.proposed_at, _successor(reader, one)) for one in found.successors),
        *((one.asked_at, _assignment(reader, one)) for one in found.assignments),
    ]
    follows = _successor(reader, found.follows) | {"link": found.follows.predecessor_id} if found.follows else None
    return {"chain": [line for _, line in sorted(lines, key=lambda one: one[0])], "follows": follows}


def _act(reader: Reader, act: ActOut) -> dict[str, Any]:
    return {
        "when": formats.minute(act.made_at, reader.language),
        "what": act.text[reader.language]["title"],
        "link": "",
        "who": reader.name_of(act.party),
        "reason": _reason(reader, act.reason),
        "changes": [],
        "state": reader.name(codes.ACT_STATES, act.state),
        "open": act.state in ("unsigned", "prepared"),
        "signatures": _signatures(reader, [act.signature] if act.signature else []),
        "document": act.document,
    }


def _successor(reader: Reader, one: SuccessorOut) -> dict[str, Any]:
    return {
        "when": formats.minute(one.proposed_at, reader.language),
        "what": reader.name(codes.SUCCESSOR_KINDS, one.kind),
        "link": one.agreement_id,
        "who": reader.name_of(one.proposed_by),
        "reason": _reason(reader, one.reason),
        "changes": [getattr(each, reader.language) for each in one.changes],
        "state": reader.name(codes.SUCCESSOR_STATES, one.state),
        "open": one.state in ("proposed", "returned"),
        "signatures": _signatures(reader, one.signatures),
        "document": one.document,
    }


def _assignment(reader: Reader, one: AssignmentOut) -> dict[str, Any]:
    return {
        "when": formats.minute(one.asked_at, reader.language),
        "what": reader.say("assignment").format(reader.name_of(one.assignee_id)),
        "link": "",
        "who": "",
        "reason": _reason(reader, one.reason) if one.reason else "",
        "changes": [],
        "state": reader.name(codes.ASSIGNMENT_STATES, f"{one.state}_by_{one.by}" if one.by else one.state),
        "open": one.state == "asked",
        "signatures": [],
        "document": one.act or "",
    }


def _signatures(reader: Reader, made: list[SignatureOut]) -> list[str]:
    return [f"{reader.name_of(one.signer)}, {formats.minute(one.signed_at, reader.language)}" for one in made]


def _reason(reader: Reader, code: str) -> str:
    words = reason_in_words(code, reader.language)
    return words if words != code else reader.say("another_reason")
