"""The journal for other bookkeeping: beancount, hledger, CSV, JSON, piece by piece; each format tells all postings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from marketplace.audit import cells
from marketplace.kernel.canonical import canonical_text
from marketplace.kernel.clock import timestamp
from marketplace.ledger.accounts import chart
from marketplace.ledger.journal import Journal, JournalTransaction, Tally, major

Format = Literal["beancount", "hledger", "csv", "json"]
_ROOTS = {"asset": "Assets", "liability": "Liabilities", "income": "Income", "expense": "Expenses"}
_TYPES = {"asset": "A", "liability": "L", "income": "R", "expense": "X"}
_COLUMNS = (
    "transaction", "period", "booked_on", "happened_at", "posted_at", "kind", "owner", "account", "account_name",
    "debit", "credit", "currency", "asset", "version", "stage", "agreement", "reverses", "cause_entry",
    "posting_entry", "memo",
)  # fmt: skip


def beancount(journal: Journal) -> Iterator[str]:
    """A beancount file (version 2 or 3) that ends with an assertion of every balance.

    Accounts are `Expenses:Prt-…:Legal`: root by kind, participant, code.  Each transaction has a link of its own and
    names its log entries.
    """
    tally, opened = Tally(journal.opening), set[str]()
    yield 'option "title" "Medical data marketplace"\noption "operating_currency" "CNY"\n'

    def account(owner: str, code: str) -> tuple[str, str]:
        """Its name, and what opens it where it comes for the first time."""
        name = _bean_account(owner, code)
        first = "" if name in opened else f'{journal.opened_on} open {name}\n  owner: "{owner}"\n'
        opened.add(name)
        return name, first

    if journal.opening:
        yield from (account(owner, code)[1] for owner, code, _ in journal.opening)
        yield f'{journal.opened_on} * "opening" "balances before {journal.first}"\n'
        for (owner, code, currency), minor in journal.opening.items():
            yield f"  {_bean_account(owner, code)}  {major(minor)} {currency}\n"
    for one in journal.transactions:
        tally.add(one)
        named = [account(line.owner, line.account) for line in one.lines]
        yield "".join(first for _, first in named)
        yield f"{one.day} * {_quoted(one.kind)} {_quoted(one.memo)} ^{one.id.replace('_', '-')}\n"
        yield "".join(f'  {name}: "{value}"\n' for name, value in _tags(one).items())
        for (name, _), line in zip(named, one.lines, strict=True):
            yield f"  {name}  {major(line.amount_minor)} {line.currency}\n"
    for (owner, code, currency), minor in sorted(tally.sums.items()):
        yield f"{journal.closed_on} balance {_bean_account(owner, code)}  {major(minor)} {currency}\n"


def hledger(journal: Journal) -> Iterator[str]:
    """An hledger journal that passes `hledger check --strict` and ends with an assertion of every balance.

    Accounts are `expenses:prt_…:legal`; tags name the log entries of each transaction.
    """
    tally, known, currencies = Tally(journal.opening), set[str](), set[str]()
    yield "; Medical data marketplace\n"

    def declared(owner: str, code: str, currency: str) -> str:
        name, text = _hledger_account(owner, code), ""
        if currency not in currencies:
            text = f"commodity 1000.00 {currency}\n"
        if name not in known:
            text += f"account {name}  ; type: {_TYPES[chart().account(code).kind]}\n"
        known.add(name)
        currencies.add(currency)
        return text

    if journal.opening:
        yield "".join(declared(*key) for key in journal.opening)
        yield f"{journal.opened_on} * opening | balances before {journal.first}\n"
        for (owner, code, currency), minor in journal.opening.items():
            yield f"    {_hledger_account(owner, code)}  {major(minor)} {currency}\n"
    for one in journal.transactions:
        tally.add(one)
        yield "".join(declared(line.owner, line.account, line.currency) for line in one.lines)
        yield f"\n{one.day} * ({one.id}) {one.kind} | {_plain(one.memo)}\n"
        yield "".join(f"    ; {name}: {value}\n" for name, value in _tags(one).items())
        for line in one.lines:
            yield f"    {_hledger_account(line.owner, line.account)}  {major(line.amount_minor)} {line.currency}\n"
    if tally.sums:
        yield f"\n{journal.closed_on} * balances | as the market's books have them\n"
    for (owner, code, currency), minor in sorted(tally.sums.items()):
        yield f"    {_hledger_account(owner, code)}  0.00 {currency} = {major(minor)} {currency}\n"


def csv(journal: Journal) -> Iterator[str]:
    """One line per posting, debit and credit apart, after one line per opening balance; cells as in `audit.cells`."""
    yield cells.table(_COLUMNS, ())
    for (owner, code, currency), minor in journal.opening.items():
        told: dict[str, object] = {"period": journal.first, "booked_on": journal.opened_on, "kind": "opening"}
        yield _csv_row(told | _amounts(owner, code, minor, currency))
    for one in journal.transactions:
        for line in one.lines:
            amounts = _amounts(line.owner, line.account, line.amount_minor, line.currency)
            yield _csv_row(_described(one) | amounts)


def json(journal: Journal) -> Iterator[str]:
    """One JSON document: chart, opening balances, transactions with their postings, closing balances.

    Amounts are minor units as text, debit positive, because they may pass what a JSON number holds exactly.
    """
    tally = Tally(journal.opening)
    head = {"format": "double-entry", "v": 1, "chart": chart().id, "from": journal.first, "to": journal.last}
    yield canonical_text(head)[:-1] + ',"accounts":' + canonical_text([one.model_dump() for one in chart().accounts])
    yield ',"opening":' + canonical_text([_balance(*key, minor) for key, minor in journal.opening.items()])
    yield ',"transactions":['
    comma = ""
    for one in journal.transactions:
        tally.add(one)
        lines = [_balance(line.owner, line.account, line.currency, line.amount_minor) for line in one.lines]
        yield comma + canonical_text(_described(one) | {"booked_on": str(one.day), "postings": lines})
        comma = ","
    yield '],"closing":' + canonical_text([_balance(*key, minor) for key, minor in sorted(tally.sums.items())]) + "}\n"


FORMATS: Mapping[Format, Callable[[Journal], Iterator[str]]] = {
    "beancount": beancount,
    "hledger": hledger,
    "csv": csv,
    "json": json,
}
MEDIA_TYPES: Mapping[Format, str] = {
    "beancount": "text/plain; charset=utf-8",
    "hledger": "text/plain; charset=utf-8",
    "csv": cells.MEDIA_TYPE,
    "json": "application/json",
}


def _parts(code: str) -> list[str]:
    """A code without the word that its root says already."""
    parts = code.split(":")
    return parts[1:] if len(parts) > 1 and parts[0] == chart().account(code).kind else parts


def _bean_account(owner: str, code: str) -> str:
    # Parts of a name begin with a capital and hold letters, digits and hyphens; an owner may be part of a participant.
    names = [*owner.replace("_", "-").split(":"), *_parts(code)]
    return ":".join([_ROOTS[chart().account(code).kind], *(name[:1].upper() + name[1:] for name in names)])


def _hledger_account(owner: str, code: str) -> str:
    return ":".join([_ROOTS[chart().account(code).kind].lower(), owner, *_parts(code)])


def _tags(one: JournalTransaction) -> dict[str, str]:
    """What ties a transaction to the log and to what it is about."""
    tags = {"entry": one.posting_entry_id, "cause": one.entry_id, "happened": timestamp(one.at)}
    subject = {"asset": one.asset, "version": one.version, "stage": one.stage, "agreement": one.agreement}
    return tags | {name: value for name, value in (subject | {"reverses": one.reverses}).items() if value}


def _described(one: JournalTransaction) -> dict[str, object]:
    return {
        "transaction": one.id,
        "period": one.period,
        "booked_on": str(one.day),
        "happened_at": timestamp(one.at),
        "posted_at": timestamp(one.posted_at),
        "kind": one.kind,
        "asset": one.asset,
        "version": one.version,
        "stage": one.stage,
        "agreement": one.agreement,
        "reverses": one.reverses,
        "cause_entry": one.entry_id,
        "posting_entry": one.posting_entry_id,
        "memo": one.memo,
    }


def _amounts(owner: str, code: str, minor: int, currency: str) -> dict[str, object]:
    named: dict[str, object] = {"owner": owner, "account": code, "account_name": chart().account(code).name}
    sides = {"debit": major(max(minor, 0)), "credit": major(max(-minor, 0))}
    return named | {name: value for name, value in sides.items() if value != "0.00"} | {"currency": currency}


def _csv_row(values: dict[str, object]) -> str:
    return cells.row([values.get(name) for name in _COLUMNS])


def _balance(owner: str, code: str, currency: str, minor: int) -> dict[str, str]:
    return {"owner": owner, "account": code, "currency": currency, "amount_minor": str(minor)}


def _quoted(text: str) -> str:
    escaped = _plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _plain(text: str) -> str:
    """One line, without what begins a comment."""
    return " ".join(text.split()).replace(";", ",")
