"""What a year came to: read over the API by its parties, and checked against the log by the product's own checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marketplace.audit import outside
from marketplace.audit.fsck import fsck
from marketplace.audit.succession import known_keys
from marketplace.client.lists import LONG_PAGES, items
from marketplace.client.pages import own_page
from marketplace.commands.recheck import recheck
from seeds.year.state import Year

JOURNALS = ("beancount", "hledger")
LANGUAGES = ("zh", "en")


def of(year: Year, folder: Path) -> dict[str, Any]:
    """The whole result; folder: where the journals of everybody's books and the director's page are written.

    `director` is the hospital's page as `GET /v1/director` answers it.
    """
    entries = year.almanac.seal()
    first, last = f"{year.world.began:%Y-%m}", f"{year.now:%Y-%m}"
    auditor = year["auditor"]
    trial = auditor.get(f"/v1/ledger/periods/{last}/trial-balance")
    return {
        "plot": {"assets": len(year.made), "buyers": len(year.plot.buyers), "months": year.plot.months},
        "director": year["hospital"].get("/v1/director"),
        "departments": year["hospital"].get("/v1/costs", {"by": "department"}),
        "plans": _plans(year),
        "invoices": _invoices(list(items(auditor, "/v1/invoices", LONG_PAGES))),
        "payables": _sums(list(items(year["hospital"], "/v1/payables", LONG_PAGES))),
        "shares": _shares(list(items(auditor, "/v1/shares", LONG_PAGES))),
        "board": auditor.get("/v1/demand-board")["rows"],
        "disclosure": year["hospital"].get("/v1/accounting/disclosure", {"from": first, "to": last}),
        "trial_balance_fen": sum(one["closing_minor"] for one in trial),
        "closed": [one["period"] for one in auditor.get("/v1/ledger/periods") if one["state"] == "closed"],
        "journals": _journals(year, folder, first, last),
        "pages": _pages(year, folder),
        "log": {"entries": entries, "findings": list(_findings(year))},
        "deeds": year.deeds,
    }


def _plans(year: Year) -> dict[str, int]:
    """Contracts that came into force, by kind of their price plan."""
    found = items(year["auditor"], "/v1/agreements", LONG_PAGES)
    return dict(sorted(Counter(one["price_plan"]["kind"] for one in found if one["finalized_at"]).items()))


def _invoices(found: list[dict[str, Any]]) -> dict[str, int]:
    bills = [one for one in found if one["kind"] == "invoice"]
    return {
        "number": len(bills),
        "total_fen": sum(one["total_fen"] for one in bills),
        "credited_fen": sum(one["credited_fen"] for one in bills),
        "paid_fen": sum(one["total_fen"] - one["credited_fen"] for one in bills if one["state"] == "paid"),
        "overdue": sum(one["overdue_at"] is not None for one in bills),
    }


def _shares(found: list[dict[str, Any]]) -> dict[str, int]:
    """Role -> fen of everything that was divided and stands, the largest first."""
    sums = Counter[str]()
    for one in found:
        sums[one["role"]] += 0 if one["void"] else one["amount_fen"]
    return dict(sums.most_common())


def _sums(found: list[dict[str, Any]]) -> dict[str, int]:
    """State -> fen of what is owed for stages."""
    sums = Counter[str]()
    for one in found:
        sums[one["state"]] += one["amount_fen"]
    return dict(sums)


def _journals(year: Year, folder: Path, first: str, last: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for form in JOURNALS:
        asked = {"from": first, "to": last, "format": form}
        (folder / f"books.{form}").write_bytes(year["auditor"].get_bytes("/v1/ledger/export", asked))
    return [f"{folder.name}/books.{form}" for form in JOURNALS]


def _pages(year: Year, folder: Path) -> list[str]:
    """The director's page as the console shows it on the last day: whoever serves the folder later sees a later one."""
    for language in LANGUAGES:
        (folder / f"director.{language}.html").write_bytes(own_page(year["hospital"], "director", language))
    return [f"{folder.name}/director.{language}.html" for language in LANGUAGES]


def _findings(year: Year) -> Iterator[str]:
    """What `marketplace audit fsck --objects` finds, in words; nothing is how it should be."""
    runtime = year.almanac.runtime
    heads = list(outside.heads(runtime.settings))
    with runtime.database.reading() as db:
        for one in fsck(db, keys=known_keys(db, runtime.settings), heads=heads).findings:
            yield f"{one.kind}: entry {one.entry}: {one.detail}"
        for row in recheck(db, runtime.store):
            yield f"{row.kind}: {row.table} {row.key}: {row.detail}"
