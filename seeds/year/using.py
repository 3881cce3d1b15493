"""Uses by the real door, and what a buyer owes after them: reports of use, certificates of deletion."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from marketplace.client import proofs
from marketplace.client.lists import LONG_PAGES, items
from marketplace.client.problem import ProblemError
from marketplace.kernel.ids import new_id
from seeds.year.state import Deal, Year

REPORT_EVERY = timedelta(days=55)
LAST = 3
"""Uses of a month fall on so many days."""


def use_all(year: Year, part: int) -> None:
    """Every buyer uses what it has a contract for, as often as its dice say; part: which of the month's days."""
    for deal in year.deals:
        least, most = deal.sale.uses
        times = year.dice.randint(least, most)
        for _ in range(times // LAST + (part < times % LAST)):
            use(year, deal)


def use(year: Year, deal: Deal) -> None:
    """One use of the whole delivery; a refusal is remembered with its reason codes."""
    path = f"/v1/agreements/{deal.agreement(year.now)}/data"
    headers = {"Idempotency-Key": new_id("use")}
    try:
        with year[deal.sale.buyer].stream(path, {"purpose": deal.purpose}, headers) as answer:
            for _ in answer.iter_bytes():
                pass
    except ProblemError as refused:
        if refused.status != 403:
            raise
        year.note("refused", product=deal.sale.product, buyer=deal.sale.buyer, why=refused.body.get("reasons"))


def prove_all(year: Year) -> None:
    """Every buyer reports its uses of some time, and certifies the deletion of what it may not keep."""
    for deal in (*year.deals, *year.ended):
        for agreement in deal.line:
            _prove(year, deal, agreement)


def _prove(year: Year, deal: Deal, agreement: str) -> None:
    client, at = year[deal.sale.buyer], f"/v1/agreements/{agreement}"
    owed = client.get(f"{at}/duties")
    begins, ends = (_moment(owed[name]) for name in ("report_from", "report_until"))
    over = ends is not None and ends < year.now
    if begins and ends and (over or ends - begins >= REPORT_EVERY):
        uses = Counter(
            one["purpose"]
            for one in items(client, f"{at}/transfers", LONG_PAGES)
            if one["uses"] and begins <= datetime.fromisoformat(one["opened_at"]) < ends
        )
        told = proofs.report_use(client, agreement, uses, results=["aggregate"], staff=["data_science"])
        assert not told["differences"], told
    deletion = [one for one in owed["duties"] if one["kind"] == "delete" and one["since"] and one["due_at"]]
    if deletion and owed["delivered"]:
        proofs.certify_deletion(client, agreement, method="cryptographic_erasure")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
