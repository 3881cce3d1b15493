"""A short telling of the year: invoices, ledger and the director's page say the same, to the fen, and all is proven."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, col, select
from typer.testing import CliRunner

from marketplace.audit.models import Entry
from marketplace.charging.rules import month_of
from marketplace.cli import app
from marketplace.costing.models import MeterEvent
from marketplace.exchange.pricing import PricePlan
from marketplace.ledger import queries as books
from marketplace.ledger.models import LedgerTransaction, Posting
from marketplace.ledger.rules import ReversalReason
from marketplace.negotiation.models import Agreement
from marketplace.plumbing.db import Database
from marketplace.settlement import queries as settlement
from marketplace.settlement.bank.queries import states_of
from marketplace.settlement.models import Invoice, InvoiceLine, Payable, PaymentOrder, Share
from seeds.year.plots import SHORT, YEAR
from seeds.year.telling import ToldBefore, tell_year
from tests.ledger.tools import run

NEVER_SHARED = {settlement.BUYER_FEE, settlement.DEPOSIT}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("year")


@pytest.fixture(scope="module")
def shown(folder: Path) -> str:
    """What the command printed; its result lies in `year.json`."""
    done = CliRunner().invoke(app, ["year", "--short", "--data", str(folder / "year")])
    assert done.exit_code == 0, f"{done.output} {done.exception!r}"
    return done.output


@pytest.fixture(scope="module")
def told(shown: str, folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "year.json").read_text())
    return read


@pytest.fixture
def db(told: dict[str, Any], folder: Path) -> Iterator[Session]:
    database = Database(f"sqlite:///{folder / 'year' / 'market.sqlite3'}")
    with database.reading() as opened:
        yield opened
    database.dispose()


def standing_lines(db: Session) -> list[InvoiceLine]:
    """Lines of invoices that no credit note took back."""
    rows = select(InvoiceLine).where(col(InvoiceLine.credited_by).is_(None))
    return list(
        db.exec(rows.join(Invoice, col(Invoice.id) == col(InvoiceLine.invoice_id)).where(Invoice.kind == "invoice"))
    )


def deeds(told: dict[str, Any], what: str) -> list[dict[str, Any]]:
    return [one for one in told["deeds"] if one["what"] == what]


def test_books_and_log_are_sound(told: dict[str, Any], db: Session) -> None:
    assert told["log"]["findings"] == []
    assert told["trial_balance_fen"] == books.imbalance(db) == 0
    assert told["director"]["complete"]
    assert told["closed"] == ["2025-01", "2025-02", "2025-03", "2025-04", "2025-05"]


def test_what_was_invoiced_is_what_the_ledger_and_the_directors_page_say(told: dict[str, Any], db: Session) -> None:
    page, invoiced = told["director"], invoiced_by_asset(db)
    for one in page["assets"]:
        assert one["sheet"]["revenue_fen"] == invoiced[one["sheet"]["asset"]]
    assert page["revenue_fen"] == invoiced.total() > 0
    held, paid = {(one.owner, one.account): one.amount_minor for one in books.balances(db)}, paid_by_buyer(db)
    assert {buyer: -held[buyer, "asset:cash"] for buyer in paid} == paid - _returned(db)
    assert page["total_fen"] == sum(minor for (owner, account), minor in held.items() if _is_cost(page, owner, account))


def invoiced_by_asset(db: Session) -> Counter[str]:
    """What is a provider's revenue: fees and deposits are not."""
    found = Counter[str]()
    for line in standing_lines(db):
        if line.kind not in NEVER_SHARED:
            found[str(line.asset_id)] += line.price_fen
    return found


def paid_by_buyer(db: Session) -> Counter[str]:
    """Every invoice was paid in the end, less what was credited."""
    found = Counter[str]()
    for invoice in db.exec(select(Invoice).where(Invoice.kind == "invoice")):
        found[invoice.buyer_id] += invoice.total_fen - invoice.credited_fen
    return found


def _returned(db: Session) -> Counter[str]:
    """Deposits that went back to their buyers."""
    rows = select(Posting.owner, Posting.amount_minor).join(
        LedgerTransaction, col(LedgerTransaction.id) == col(Posting.transaction_id)
    )
    back = rows.where(LedgerTransaction.kind == "escrow.return", Posting.account == "asset:cash")
    return Counter({owner: minor for owner, minor in db.exec(back) if minor > 0})


def _is_cost(page: dict[str, Any], owner: str, account: str) -> bool:
    stages = ("collection", "governance", "legal", "certificate", "listing")
    costs = {*(f"expense:{stage}" for stage in stages), "asset:data-inventory", "asset:data-intangible"}
    return owner == page["provider"] and account in costs


def test_what_the_hospital_owed_for_stages_is_paid_and_received_to_the_fen(told: dict[str, Any], db: Session) -> None:
    paid = Counter[str]()
    for one in db.exec(select(Payable)):
        assert one.state == "paid"
        paid[one.payee_id] += one.amount_fen
    sums = told["director"]["payables"]
    assert sums == {"owed_fen": 0, "back_fen": 0, "ordered_fen": 0, "paid_fen": paid.total()}
    assert told["payables"] == {"paid": paid.total()}
    held = {(one.owner, one.account): one.amount_minor for one in books.balances(db)}
    assert {payee: held[payee, "asset:cash"] for payee in paid} == paid
    assert {payee: held[payee, "receivable"] for payee in paid} == dict.fromkeys(paid, 0)
    assert len(paid) == 2
    sheets = [one["sheet"]["stages"] for one in told["director"]["assets"]]
    assert paid.total() == sum(one["assessed"] + one["certified"] for one in sheets)
    states = Counter(states_of(db, db.exec(select(PaymentOrder)).all()).values())
    assert (states["cancelled"], states.keys()) == (len(deeds(told, "cancelled_order")), {"settled", "cancelled"})
    assert states["cancelled"] == 1


def test_every_line_of_an_invoice_is_proven_by_its_entries_in_the_tree(db: Session) -> None:
    lines = db.exec(select(InvoiceLine)).all()
    assert len(lines) > 20
    for line in lines:
        posted, event = db.get_one(LedgerTransaction, line.transaction_id), db.get_one(MeterEvent, line.meter_event)
        assert (posted.entry_id, posted.posting_entry_id) == (line.entry_id, line.posting_entry_id)
        cause, posting = (db.get_one(Entry, name) for name in (line.entry_id, line.posting_entry_id))
        assert cause.leaf_index is not None
        assert posting.leaf_index is not None
        assert json.loads(cause.body)["facts"]["key"] == event.event_key


def test_no_month_of_an_agreement_costs_more_than_its_cap(db: Session) -> None:
    months = defaultdict[tuple[str, str], int](int)
    for line in standing_lines(db):
        kind, _, about = db.get_one(MeterEvent, line.meter_event).event_key.partition(":")
        if kind.startswith("use."):
            # A month's minimum is charged when the month is over, and names it.
            month = about[-7:] if kind == "use.minimum" else month_of(line.at)
            months[str(line.agreement_id), month] += line.price_fen
    caps = {one.id: one.price_plan.get("monthly_cap_fen") for one in db.exec(select(Agreement))}
    charged = [(fen, caps[agreement]) for (agreement, _), fen in months.items() if caps[agreement] is not None]
    assert max(fen for fen, _ in charged) == SHORT.products[1].plan["monthly_cap_fen"]
    assert all(fen <= cap for fen, cap in charged)


def test_the_shares_of_every_paid_line_sum_to_its_price(told: dict[str, Any], db: Session) -> None:
    shares = defaultdict[str, int](int)
    for share in db.exec(select(Share)):
        shares[share.line_id] += 0 if share.void else share.amount_fen
    divided = [line for line in standing_lines(db) if line.kind not in NEVER_SHARED]
    assert {line.id: line.price_fen for line in divided} == {line.id: shares[line.id] for line in divided}
    assert sum(told["shares"].values()) == sum(line.price_fen for line in divided)
    recovered = [min(one["sheet"]["total_fen"], one["sheet"]["kept_fen"]) for one in told["director"]["assets"]]
    assert told["shares"]["cost_recovery"] <= sum(recovered)


def test_the_corrected_tariff_holds_for_the_days_before_it(told: dict[str, Any], db: Session) -> None:
    assert [one["fen"] for one in deeds(told, "tariff")] == [5_800]
    for line, product in zip(told["director"]["assets"], SHORT.products, strict=True):
        assert line["sheet"]["stages"]["governed"] == product.patients * 5_800
    memos = [
        str(one.memo) for one in db.exec(select(LedgerTransaction).where(col(LedgerTransaction.reverses).is_not(None)))
    ]
    assert sum(memo.endswith(ReversalReason.TARIFF_CHANGED) for memo in memos) == len(SHORT.products)
    assert sum(memo.endswith(ReversalReason.CAUSE_CANCELLED) for memo in memos) >= len(deeds(told, "credited")) == 1


def test_who_paid_late_was_suspended_and_goes_on(told: dict[str, Any], db: Session) -> None:
    assert told["invoices"]["overdue"] == 1
    assert {tuple(one["why"]) for one in deeds(told, "refused")} == {("invoice_overdue",)}
    assert told["invoices"]["paid_fen"] == told["invoices"]["total_fen"] - told["invoices"]["credited_fen"]
    assert told["director"]["risk"]["overdue_fen"] == 0
    assert {one.state for one in db.exec(select(Agreement))} == {"finalized", "superseded", "terminated"}


def test_the_disputed_result_was_met_in_the_end_and_nothing_is_held_back(told: dict[str, Any], db: Session) -> None:
    assert [one["met"] for one in deeds(told, "declared")] == [False, True]
    assert len(deeds(told, "disputed")) == 1
    assert {one.amount_minor for one in books.balances(db) if one.account in {"escrow", "asset:deposit"}} <= {0}


def test_the_stopped_asset_is_written_off(told: dict[str, Any], db: Session) -> None:
    (cost,) = [one["cost"] for one in deeds(told, "capitalised")]
    assert {line["carried_fen"] for line in told["director"]["assets"]} == {0}
    held = {one.account: one.amount_minor for one in books.balances(db, owner=told["director"]["provider"])}
    assert held["expense:amortisation"] + held["expense:impairment"] == int(cost)
    assert held["expense:amortisation"] > 0


@pytest.mark.parametrize(
    "command", [("bean-check", "books.beancount"), ("hledger", "-f", "books.hledger", "check", "--strict")]
)
def test_other_bookkeeping_accepts_the_journals(told: dict[str, Any], folder: Path, command: tuple[str, ...]) -> None:
    done = run(*command, folder=folder / "year-books")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_directors_page_of_the_last_day_is_kept_as_it_is_read_in_both_languages(
    told: dict[str, Any], folder: Path
) -> None:
    assert told["pages"] == ["year-books/director.zh.html", "year-books/director.en.html"]
    for name in told["pages"]:
        page = (folder / name).read_text("utf-8")
        for one in ("total_fen", "revenue_fen", "kept_fen", "unrecovered_fen"):
            assert f"{told['director'][one] / 100:,.2f}" in page
        assert told["director"]["at"][:10] in page


def test_the_summary_shows_every_asset_and_that_all_is_sound(shown: str) -> None:
    assert all(product.name in shown for product in SHORT.products)
    assert "trial balance 0 fen" in shown
    assert "findings 0" in shown


def test_a_year_is_told_on_an_empty_folder_only(told: dict[str, Any], folder: Path) -> None:
    with pytest.raises(ToldBefore, match="delete it"):
        tell_year(folder / "year", SHORT, scans=folder / "year-scans", journals=folder / "books")
    shutil.copytree(folder / "year-parties", folder / "again-parties")
    with pytest.raises(ToldBefore, match="again-parties"):
        tell_year(folder / "again", SHORT, scans=folder / "year-scans", journals=folder / "books")


def test_the_whole_year_sells_every_kind_of_price_plan_that_can_be_offered() -> None:
    sold = {sale.product for sale in YEAR.sales}
    kinds = {one.plan["kind"] for one in YEAR.products if one.name in sold}
    assert kinds == _known_kinds() - {"compute_hour"}
    assert {one.plan.get("regime", "market") for one in YEAR.products} == {"market", "guided_cap", "cost_only", "free"}
    assert len(YEAR.products) == 20
    assert len(YEAR.buyers) == 8
    assert {sale.how for sale in YEAR.sales} == {"asked", "countered", "offered", "ruled"}


def _known_kinds() -> set[str]:
    from pydantic import TypeAdapter

    schema = TypeAdapter(PricePlan).json_schema()
    return set(schema["discriminator"]["mapping"])
