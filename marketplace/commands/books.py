"""The books on the command line: read over the public API page by page, written in the form that was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, BinaryIO

import typer

from marketplace.client.lists import LONG_PAGES, items
from marketplace.commands.options import HERE, AsJson, Party, Url, client_of, show

books_commands = typer.Typer(no_args_is_help=True, help="The books: export for other bookkeeping, trial balance.")
File = Annotated[Path | None, typer.Option("--file", help="Write here instead of standard output.")]
First = Annotated[str, typer.Option("--from", help="First month, 2026-01.")]
Last = Annotated[str, typer.Option("--to", help="Last month, included.")]
PAGE = 200


@books_commands.command("export")
def export(
    party: Party,
    first: First,
    last: Last,
    form: Annotated[str, typer.Option("--format", help="beancount, hledger, csv or json.")] = "json",
    url: Url = HERE,
    file: File = None,
) -> None:
    """Write your own books of some months, as an auditor everybody's; of any length."""
    from marketplace.ledger.exports import FORMATS
    from marketplace.ledger.journal import Journal
    from marketplace.ledger.periods import read_months

    if form not in FORMATS:
        raise typer.BadParameter(f"expected {', '.join(FORMATS)}", param_hint="--format")
    read_months(first, last)
    with client_of(url, party) as client:
        before = client.get(f"/v1/ledger/periods/{first}/trial-balance")
        own = [one for one in before if one["opening_minor"]]
        opening = {(one["owner"], one["account"], one["currency"]): one["opening_minor"] for one in own}
        written = FORMATS[form](Journal(first, last, opening, _transactions(client, first, last)))  # type: ignore[index]
        if file is None:
            sys.stdout.writelines(written)
        else:
            with file.open("w", encoding="utf-8", newline="") as out:
                out.writelines(written)
            typer.echo(f"{file}: {file.stat().st_size} bytes")


@books_commands.command("trial-balance")
def show_trial_balance(period: str, party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Your own accounts in a month: opening, debit, credit, closing; an auditor's everybody's."""
    from marketplace.ledger.journal import major

    with client_of(url, party) as client:
        found = client.get(f"/v1/ledger/periods/{period}/trial-balance")
    names = ("opening_minor", "debit_minor", "credit_minor", "closing_minor")
    lines = [
        f"{one['owner']:<38} {one['account']:<28} {one['currency']}"
        + "".join(f"{major(one[name]):>18}" for name in names)
        for one in found
    ]
    typer.echo(json.dumps(found) if as_json else "\n".join(lines) or "no postings up to this month")


@books_commands.command("payables")
def show_payables(party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """What you owe for stages as provider, or are owed as who did the work: state, amount in yuan, kind, other side."""
    from marketplace.ledger.journal import major

    with client_of(url, party) as client:
        found = list(items(client, "/v1/payables", LONG_PAGES))
    lines = [
        f"{one['meter_event']:<38} {one['state']:<8}{major(one['amount_fen']):>16}  {one['kind']:<26} "
        f"{one['payer_id']} -> {one['payee_id']}"
        for one in found
    ]
    typer.echo(json.dumps(found) if as_json else "\n".join(lines) or "nothing is owed")


@books_commands.command("pay")
def pay(
    party: Party,
    file: Annotated[
        Path, typer.Option("--file", dir_okay=False, help="Write the file for your bank here, ISO 20022 pain.001.")
    ],
    events: Annotated[list[str] | None, typer.Argument(help="Meter events, none = everything you owe.")] = None,
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """Order what you owe for stages: one transfer to each payee that has said where it is paid.

    Nothing is ordered where the file cannot be written.
    """
    with _to_be_written(file) as written, client_of(url, party) as client:
        made = client.post("/v1/payables/payment-orders", {"events": events or []})
        written.write(client.get_bytes(f"/v1/payment-orders/{made['id']}/pain.001.xml"))
    show(made, as_json)


@books_commands.command("account")
def name_account(
    party: Party,
    holder: Annotated[str, typer.Option("--holder", help="Name of the account's holder.")],
    account: Annotated[str, typer.Option("--account", help="Number of the account.")],
    bank: Annotated[str, typer.Option("--bank", help="CNAPS code of the bank, 12 digits.")],
    part: Annotated[str | None, typer.Option("--part", help="Of a part of yours: department, annotators, …")] = None,
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """Say where you are paid and from which account you pay."""
    asked = {"holder": holder, "account": account, "bank": bank} | ({"part": part} if part else {})
    with client_of(url, party) as client:
        show(client.post("/v1/bank-accounts", asked), as_json)


@books_commands.command("orders")
def show_orders(party: Party, url: Url = HERE, as_json: AsJson = False) -> None:
    """Your payment orders, the latest first: state, amount in yuan, transfers, day."""
    from marketplace.ledger.journal import major

    with client_of(url, party) as client:
        found = list(items(client, "/v1/payment-orders", LONG_PAGES))
    lines = [
        f"{one['id']:<38} {one['state']:<10}{major(one['total_fen']):>16} {one['payments']:>6}  {one['made_at'][:10]}"
        for one in found
    ]
    typer.echo(json.dumps(found) if as_json else "\n".join(lines) or "nothing has been ordered")


@books_commands.command("cancel")
def cancel(
    order: str,
    party: Party,
    reason: Annotated[
        str, typer.Option("--reason", help="not_carried_out, refused_by_bank, wrong_account or ordered_by_mistake.")
    ] = "not_carried_out",
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """Cancel what your bank has not carried out of a payment order: it is owed as before."""
    with client_of(url, party) as client:
        show(client.post(f"/v1/payment-orders/{order}/cancellation", {"reason": reason}), as_json)


@books_commands.command("resolve")
def resolve(
    order: str,
    party: Party,
    decision: Annotated[str, typer.Option("--decision", help="carried_out or settled_outside.")],
    url: Url = HERE,
    as_json: AsJson = False,
) -> None:
    """Say what became of a cancelled payment order that your bank carried out after all."""
    with client_of(url, party) as client:
        show(client.post(f"/v1/payment-orders/{order}/resolution", {"decision": decision}), as_json)


@contextmanager
def _to_be_written(file: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of the one named once it is whole; without it, that one stays as it was."""
    fresh = file.with_name(f"{file.name}.part")
    with fresh.open("wb") as out:
        try:
            yield out
        except BaseException:
            fresh.unlink()
            raise
    fresh.replace(file)


def _transactions(client: Any, first: str, last: str) -> Iterator[Any]:
    from marketplace.kernel.clock import parse_timestamp
    from marketplace.ledger.journal import transaction

    after: str | None = ""
    while after is not None:
        asked = {"after": after, "limit": PAGE, "from": first, "to": last}
        page = client.get("/v1/ledger/transactions", asked)
        for one in page["items"]:
            moments = {name: parse_timestamp(one[name]) for name in ("at", "posted_at")}
            lines = [SimpleNamespace(**line) for line in one["postings"]]
            yield transaction(SimpleNamespace(**(one | moments)), lines)
        after = page["next"]
