"""Questions about the bytes of each use: allowed first, served in order within that, closed at their sum."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from marketplace.audit.verifier.bundle import Bundle, Entry
from marketplace.audit.verifier.report import Check, Report
from marketplace.audit.verifier.text import string

_CHARGE = "use.transfer:"
_KINDS = {"usage:allowed": "allowed", "transfer:window_served": "windows", "transfer:closed": "closed"}


@dataclass
class Leg:
    """The entries of one answer of a transfer: what was allowed, each window, how it ended."""

    allowed: list[Entry] = field(default_factory=list)
    windows: list[Entry] = field(default_factory=list)
    closed: list[Entry] = field(default_factory=list)


def check(report: Report, bundle: Bundle) -> None:
    """Ask them of every leg of every transfer in the bundle."""
    asked = report.check("every use was allowed before its bytes, and its windows add up to what was closed")
    legs = _legs(bundle)
    for leg in legs.values():
        asked.counted += 1
        for rule in (_begins, _is_contiguous, _closes):
            rule(asked, leg)
    _charges(report, bundle, {transfer for transfer, _ in legs})


def _legs(bundle: Bundle) -> dict[tuple[str, int], Leg]:
    """(transfer, number) -> its entries in order of the log."""
    found: dict[tuple[str, int], Leg] = {}
    for entry in sorted(bundle.entries, key=lambda one: one.index):
        transfer, number = string(entry.facts, "transfer"), _number(entry, "leg")
        if entry.tag in _KINDS and transfer is not None and number is not None:
            getattr(found.setdefault((transfer, number), Leg()), _KINDS[entry.tag]).append(entry)
    return found


def _begins(asked: Check, leg: Leg) -> None:
    for late in (*leg.windows[:1], *leg.closed[:1]):
        if not leg.allowed:
            asked.fail(late.name, "no entry shows that this use was allowed")
        elif late.index < leg.allowed[0].index:
            asked.fail(late.name, f"it was logged before {leg.allowed[0].name} allowed the use")
    for again in leg.allowed[1:]:
        asked.fail(again.name, f"it allows what {leg.allowed[0].name} allowed already")


def _is_contiguous(asked: Check, leg: Leg) -> None:
    if not leg.allowed:
        return
    start, end = _number(leg.allowed[0], "from"), _number(leg.allowed[0], "to")
    for window in leg.windows:
        offset, length = _number(window, "offset"), _number(window, "length")
        if offset is None or length is None or start is None or end is None:
            asked.fail(window.name, "it does not say which bytes it is about")
            return
        if offset != start:
            asked.fail(window.name, f"it begins at byte {offset}, the one before ended at {start}")
        start = offset + length
        if start > end:
            asked.fail(window.name, f"it goes up to byte {start}, allowed were those before {end}")


def _closes(asked: Check, leg: Leg) -> None:
    for closed in leg.closed:
        late = [window for window in leg.windows if window.index > closed.index]
        for window in late:
            asked.fail(window.name, f"it was served after {closed.name} had closed the transfer")
        served = sum(_number(window, "length") or 0 for window in leg.windows)
        if _number(closed, "bytes") != served:
            asked.fail(closed.name, f"it says {closed.facts.get('bytes')} bytes, the windows add up to {served}")
        last = string(leg.windows[-1].facts, "running_sha256") if leg.windows else None
        if last is not None and string(closed.facts, "sha256") != last:
            asked.fail(closed.name, "its hash is not that of the last window")
    for first, second in pairwise(leg.closed):
        asked.fail(second.name, f"{first.name} had closed it already")


def _charges(report: Report, bundle: Bundle, used: set[str]) -> None:
    asked = report.check("every charge for a use is for one that is in the bundle, and there is one for each at most")
    charged: dict[str, Entry] = {}
    for entry in bundle.entries:
        key = string(entry.facts, "key") or ""
        if entry.tag != "costing:metered" or not key.startswith(_CHARGE):
            continue
        asked.counted += 1
        transfer = key.removeprefix(_CHARGE)
        if transfer not in used:
            asked.fail(entry.name, f"it charges the transfer {transfer}, of which nothing is in the bundle")
        if transfer in charged:
            asked.fail(entry.name, f"{charged[transfer].name} charges the same transfer")
        charged[transfer] = entry


def _number(entry: Entry, name: str) -> int | None:
    value: Any = entry.facts.get(name)
    return value if type(value) is int and value >= 0 else None
