"""Whether what a use rests on stood at that moment: agreement in force, nothing stopped, by leaf numbers.

A window that was under way while the stop was recorded can get the next number.  So one entry of each leg right behind
a stop is noted and not failed: no more than one window, at which running uses stop, and no bytes of a new use.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from marketplace.audit.verifier.bundle import Bundle, Document, Entry
from marketplace.audit.verifier.report import Check, Report
from marketplace.audit.verifier.text import string

FINALIZED = "negotiation:agreement_finalized"
_UNDER_WAY = timedelta(seconds=10)

# Entry that stops uses -> entry that lets them begin again, None: never.
_STOPS: dict[str, str | None] = {
    "negotiation:agreement_suspended": "negotiation:agreement_resumed",
    "negotiation:agreement_terminated": None,
    "negotiation:agreement_expired": None,
    "negotiation:agreement_superseded": None,
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
# leaf number of a stop, transfer, leg
UnderWay = tuple[int, str | None, str]


def check(report: Report, bundle: Bundle, contract_of: dict[str, Document]) -> None:
    """Ask it of every use and each of its windows.  contract_of: agreement id -> document."""
    asked = report.check("every use is while its agreement, certificate, version and parties stood")
    begun, found, under_way = _in_force(bundle), stops(bundle), set[UnderWay]()
    for entry in sorted(bundle.entries, key=lambda one: one.index):
        document = contract_of.get(entry.agreement or "")
        if entry.tag not in ("usage:allowed", "transfer:window_served") or document is None:
            continue
        asked.counted += 1
        if entry.tag == "usage:allowed":
            _judge_begin(asked, entry, begun.get(entry.agreement or ""))
        _judge_term(asked, entry, document)
        ended = [one for key in _rests_on(entry, document) for one in found.get(key, []) if one.holds_at(entry.index)]
        for stop in ended:
            _judge_stop(asked, entry, stop, under_way)
    if under_way:
        report.notes.append(f"{len(under_way)} entries of uses stand right behind a stop: they may have been under way")


def _judge_stop(asked: Check, entry: Entry, stop: Stop, under_way: set[UnderWay]) -> None:
    key = (stop.by.index, string(entry.facts, "transfer"), str(entry.facts.get("leg")))
    at, stopped = (_moment(string(one.content, "at")) for one in (entry, stop.by))
    if key not in under_way and at is not None and stopped is not None and at - stopped <= _UNDER_WAY:
        under_way.add(key)
    else:
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
