"""Questions about what follows a signed agreement: its acts are one chain, each side's own; its successors name it."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.audit.verifier.bundle import Bundle, Document, Entry
from marketplace.audit.verifier.report import Check, Report
from marketplace.audit.verifier.signers import SERVICE, Sound
from marketplace.audit.verifier.text import string

KIND = "agreement-act"
SUPERSEDED = "negotiation:agreement_superseded"
_FINALIZED = "negotiation:agreement_finalized"
# Entry by which an act took effect -> the kind of act; a stop does before it is signed, the others do not.
_EFFECTS = {
    "negotiation:agreement_suspended": "suspension",
    "negotiation:agreement_resumed": "resumption",
    "negotiation:agreement_terminated": "termination",
    "negotiation:assignment_refused": "assignment_refusal",
}
_URGENT = ("suspension", "termination")


@dataclass
class Chain:
    """The acts on one agreement.  head: SHA-256 of the latest; number: how many; begun: acts are named from here on."""

    head: str
    number: int = 0
    begun: bool = False


def check(report: Report, bundle: Bundle, contract_of: dict[str, Document], sound: Sound) -> None:
    """Ask them.  contract_of: agreement id -> document; sound: document -> signers whose signature holds."""
    _acts(report, bundle, contract_of, sound)
    _successors(report, bundle, contract_of)


def _acts(report: Report, bundle: Bundle, contract_of: dict[str, Document], sound: Sound) -> None:
    asked = report.check("every act on an agreement follows the one before and is its own side's")
    chains: dict[str, Chain] = {}
    unsigned, older, seen = 0, 0, set[str]()
    for entry in sorted(bundle.entries, key=lambda one: one.index):
        contract = contract_of.get(entry.agreement or "")
        if entry.tag not in _EFFECTS or contract is None or string(entry.content, "actor", "participant") == SERVICE:
            continue
        chain = chains.setdefault(entry.agreement or "", Chain(contract.sha256))
        name = string(entry.facts, "act")
        if name is None and not chain.begun:
            older += entry.facts.get("by") in ("provider", "buyer")
            continue
        asked.counted += 1
        act = bundle.documents.get(name or "")
        if act is None or act.kind != KIND:
            asked.fail(entry.name, f"the act {name} that it follows from is not in the bundle")
        elif act.sha256 not in seen:
            seen.add(act.sha256)
            _follows(asked, entry, act, contract, chain)
            unsigned += _is_unsigned(asked, entry, act, sound)
    if unsigned:
        report.notes.append(f"{unsigned} stops are in effect and not signed yet by the side that made them")
    if older:
        report.notes.append(f"{older} stops and resumptions by a side are from before such acts were signed")


def _follows(asked: Check, entry: Entry, act: Document, contract: Document, chain: Chain) -> None:
    """Whether an act is of this agreement and side, and goes on where the chain stands; the chain goes on with it."""
    said, side = act.content, string(act.content, "side") or ""
    party = string(contract.content, "parties", side, "id")
    for what, got, expected in (
        ("agreement", string(said, "agreement", "id"), entry.agreement),
        ("agreement's document", string(said, "agreement", "sha256"), contract.sha256),
        ("kind", string(said, "act"), _EFFECTS[entry.tag]),
        ("party", string(said, "party"), party),
        ("party", string(said, "party"), string(entry.content, "actor", "participant")),
        ("act before it", string(said, "previous"), chain.head),
        ("number", str(said.get("number")), str(chain.number + 1)),
    ):
        if got is None or got != expected:
            asked.fail(act.name, f"its {what} is {got}, by {entry.name} it is {expected}")
    chain.head, chain.number, chain.begun = act.sha256, chain.number + 1, True


def _is_unsigned(asked: Check, entry: Entry, act: Document, sound: Sound) -> bool:
    signed_at = sound.get(act.sha256, {}).get(string(act.content, "party") or "")
    if signed_at is None and string(act.content, "act") in _URGENT:
        return True
    if signed_at is None:
        asked.fail(act.name, "no valid signature of the side that made it")
    elif string(act.content, "act") not in _URGENT and signed_at > entry.index:
        asked.fail(act.name, f"{entry.name} gave it effect before entry {signed_at} recorded its signature")
    return False


def _successors(report: Report, bundle: Bundle, contract_of: dict[str, Document]) -> None:
    """Of the agreements in force that follow another: both parties are the same, and an amendment took its place."""
    asked = report.check("every successor of an agreement names it, and what it amends ended with it")
    superseded = {one.agreement: one for one in bundle.entries if one.tag == SUPERSEDED}
    for entry in bundle.entries:
        document = contract_of.get(entry.agreement or "")
        if entry.tag != _FINALIZED or document is None or "predecessor" not in document.content:
            continue
        asked.counted += 1
        before, named = _predecessor(document, contract_of)
        if before is None:
            asked.fail(document.name, f"its predecessor {named} is not in the bundle")
            continue
        for path in (("parties", "provider", "id"), ("parties", "buyer", "id"), ("asset", "id")):
            if string(before.content, *path) != string(document.content, *path):
                asked.fail(document.name, f"it has another {path[-2]} than its predecessor")
        _ended(asked, entry, document, superseded.get(named))
    for name, one in superseded.items():
        follower = contract_of.get(string(one.facts, "successor") or "")
        if follower is None or string(follower.content, "predecessor", "id") != name:
            asked.fail(one.name, "the agreement that it names does not name this one as its predecessor")


def _predecessor(document: Document, contract_of: dict[str, Document]) -> tuple[Document | None, str | None]:
    named = string(document.content, "predecessor", "id")
    before = contract_of.get(named or "")
    fits = before is not None and before.sha256 == string(document.content, "predecessor", "sha256")
    return (before if fits else None), named


def _ended(asked: Check, entry: Entry, document: Document, ended: Entry | None) -> None:
    if string(document.content, "predecessor", "kind") != "amendment":
        return
    if ended is None or string(ended.facts, "successor") != entry.agreement:
        asked.fail(document.name, "no entry at hand says that it took its predecessor's place")
    elif ended.index > entry.index:
        asked.fail(document.name, f"it came into force before {ended.name} ended its predecessor")
