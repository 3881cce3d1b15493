"""The year on the terminal: a table of the assets, shares, open risk, and whether books and log are sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console

from marketplace.ledger.journal import major

COLUMNS = ("cost", "earned", "kept", "to recover", "carried")


def show(found: dict[str, Any], console: Console) -> None:
    """Print what `tell_year` found; amounts in yuan."""
    page = found["director"]
    for line in _assets(page):
        console.print(line, markup=False)
    console.print("Shares       " + ", ".join(f"{role} {major(fen)}" for role, fen in found["shares"].items()))
    console.print(
        "Departments  " + ", ".join(f"{one['name']} {major(one['cost_fen'])}" for one in found["departments"])
    )
    _risk(page, console)
    bills, log = found["invoices"], found["log"]
    console.print(
        f"Invoices     {bills['number']} over {major(bills['total_fen'])}, paid {major(bills['paid_fen'])}, "
        f"credited {major(bills['credited_fen'])}, once overdue {bills['overdue']}"
    )
    console.print("Stages       " + ", ".join(f"{state} {major(fen)}" for state, fen in found["payables"].items()))
    console.print(f"Books        trial balance {found['trial_balance_fen']} fen, months closed {len(found['closed'])}")
    console.print(f"Log          {log['entries']} entries, findings {len(log['findings'])}")
    for finding in log["findings"]:
        console.print(f"             {finding}", markup=False)
    console.print(f"Done in {found['run']['seconds']} s, {found['run']['max_rss_mib']} MiB at most")


def _assets(page: dict[str, Any]) -> Iterator[str]:
    yield f"The director's page on {page['at'][:10]}, in yuan\n"
    yield _line("asset", COLUMNS, "sales", "pays back")
    for line in page["assets"]:
        sheet = line["sheet"]
        amounts = (sheet["total_fen"], sheet["revenue_fen"], sheet["kept_fen"], sheet["unrecovered_fen"])
        shown = [major(fen) for fen in (*amounts, line["carried_fen"])]
        yield _line(line["name_en"].partition(":")[0], shown, sheet["sales"], _payback(line))
    totals = [page[name] for name in ("total_fen", "revenue_fen", "kept_fen", "unrecovered_fen")]
    carried = sum(line["carried_fen"] for line in page["assets"])
    sales = sum(line["sheet"]["sales"] for line in page["assets"])
    yield _line("all", [major(fen) for fen in (*totals, carried)], sales, "") + "\n"


def _line(name: str, amounts: Iterable[str], sales: object, payback: str) -> str:
    return f"{name:<11}" + "".join(f"{one:>13}" for one in amounts) + f"{sales!s:>6}  {payback}"


def _payback(line: dict[str, Any]) -> str:
    if line["listed_at"] is not None and not line["sheet"]["unrecovered_fen"]:
        return "has"
    return str(line["payback_at"])[:10] if line["payback_at"] else "never"


def _risk(page: dict[str, Any], console: Console) -> None:
    risk, stop = page["risk"], page["stop"]
    console.print(
        f"Open risk    {risk['live_agreements']} live contracts, {risk['copies_out']} copies out, "
        f"{risk['records_exposed']} records exposed, smallest group {risk['smallest_group']}, "
        f"unpaid {major(risk['unpaid_fen'])}; a stop now would cost {major(stop['cost_fen'])}"
    )
