"""Whether what a use rests on stood at that moment: agreement in force, nothing stopped, by leaf numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from marketplace.audit.verifier.bundle import Bundle, Document, Entry
from marketplace.audit.verifier.report import Check, Report
from marketplace.audit.verifier.text import string

FINALIZED = "negotiation:agreement_finalized"

# Entry that stops uses -> entry that lets them begin again, None: never.
_STOPS: dict[str, str | None] = {
    "negotiation:agreement_suspended": "negotiation:agreement_resumed",
    "negotiation:agreement_terminated": None,
    "negotiation:agreement_expired": None,
    "registration:certificate_suspended": "registration:certificate_resumed",
    "registration:certificate_cancelled": None,
    "registration:certificate_lapsed": None,
    "asset:version_suspended": "asset:version_resumed",
    "asset:version_retired": None,
    "participant:suspended": "participant:reinstated",
}
# room -> where its entries name what they are about
_ABOUT = {
    "negotiation": ("subject", "agreement"),
    "registration": ("facts", "code"),
    "asset": ("subject", "version"),
    "participant": ("facts", "participant"),
}


@dataclass(frozen=True)
class Stop:
    """A time without uses.  by: the entry that stopped them; until: leaf number of the one that ended that."""

    by: Entry
    until: int | None

    def holds_at(self, index: int) -> bool:
        return self.by.index < index and (self.until is None or index < self.until)


# (room, id) -> its stops
Stops = dict[tuple[str, str], list[Stop]]


def check(report: Report, bundle: Bundle, contract_of: dict[str, Document]) -> None:
    """Ask it of every use and each of its windows.  contract_of: agreement id -> document."""
    asked = report.check("every use is while its agreement, certificate, version and parties stood")
    begun, found = _in_force(bundle), stops(bundle)
    for entry in bundle.entries:
        document = contract_of.get(entry.agreement or "")
        if entry.tag not in ("usage:allowed", "transfer:window_served") or document is None:
            continue
        asked.counted += 1
        if entry.tag == "usage:allowed":
            _judge_begin(asked, entry, begun.get(entry.agreement or ""))
        _judge_term(asked, entry, document)
        for key in _rests_on(entry, document):
            for stop in found.get(key, []):
                if stop.holds_at(entry.index):
                    asked.fail(entry.name, f"{stop.by.name}, {stop.by.tag}, had stopped it")


def stops(bundle: Bundle) -> Stops:
    """Everything that stopped uses, as the entries of the bundle tell it."""
    found: Stops = {}
    for entry in sorted(bundle.entries, key=lambda one: one.index):
        room = entry.tag.partition(":")[0]
        about = string(entry.content, *_ABOUT[room]) if room in _ABOUT else None
        if about is None:
            continue
        mine = found.setdefault((room, about), [])
        for place, one in enumerate(mine):
            if one.until is None and _STOPS[one.by.tag] == entry.tag:
                mine[place] = Stop(one.by, entry.index)
        if entry.tag in _STOPS:
            mine.append(Stop(entry, None))
    return found


def _in_force(bundle: Bundle) -> dict[str, int]:
    """Agreement id -> leaf number of the entry by which it came into force."""
    found: dict[str, int] = {}
    for entry in bundle.entries:
        if entry.tag == FINALIZED and entry.agreement is not None:
            found[entry.agreement] = min(entry.index, found.get(entry.agreement, entry.index))
    return found


def _rests_on(entry: Entry, document: Document) -> list[tuple[str, str]]:
    named = (
        ("negotiation", entry.agreement),
        ("registration", string(document.content, "certificate", "code")),
        ("asset", string(document.content, "asset", "version")),
        ("participant", string(document.content, "parties", "provider", "id")),
        ("participant", string(document.content, "parties", "buyer", "id")),
    )
    return [(room, one) for room, one in named if one is not None]


def _judge_begin(asked: Check, entry: Entry, begun: int | None) -> None:
    if begun is None:
        asked.fail(entry.name, "no entry at hand shows that its agreement came into force")
    elif entry.index < begun:
        asked.fail(entry.name, f"it was logged before entry {begun} put its agreement in force")


def _judge_term(asked: Check, entry: Entry, document: Document) -> None:
    start, end = (_moment(string(document.content, name)) for name in ("starts_at", "ends_at"))
    at = _moment(string(entry.content, "at"))
    if start is None or end is None or at is None:
        asked.fail(entry.name, "its time or the term of its agreement is missing")
    elif not start <= at < end:
        asked.fail(entry.name, f"it is of {at}, the agreement runs from {start} to {end}")


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
