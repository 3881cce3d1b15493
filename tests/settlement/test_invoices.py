"""One invoice holds all that was charged, each line proven by the log; no gaps in numbers; again issues none."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import jsonschema
import pypdf
import pytest
from sqlalchemy import text
from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.audit.recheck import sealed_rows, told
from marketplace.costing import queries as costs
from marketplace.costing import rerating
from marketplace.costing.tariffs import FOLDER, TariffBook, TariffSheet, tariff_book
from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.clock import CHINA
from marketplace.negotiation.models import Agreement
from marketplace.settlement import billing, queries
from marketplace.settlement.billing import MonthNotOver
from marketplace.settlement.document import invoice_pdf
from marketplace.settlement.rules import NotTheExchange
from tests.charging.parts import metered
from tests.contracts.test_documents import DOCUMENTS
from tests.costing.test_tariffs import sheet
from tests.exchange.parts import listed
from tests.house import House, open_house
from tests.negotiation.parts import finalized
from tests.settlement.parts import (
    FEE_FEN,
    PER_USE,
    PRICE_FEN,
    USE_FEN,
    balance,
    bill,
    billed,
    credit,
    credit_in,
    exchange,
    imbalance,
    lines,
    pay,
    post,
    shares,
    sold,
    transactions,
    use,
)
from tests.transfer.doors import entries


def test_one_invoice_holds_access_uses_and_the_fee_of_the_exchange(house: House) -> None:
    agreement = sold(house, uses=2)
    invoice = billed(house)
    assert (invoice.number, invoice.state) == ("INV-2026-000001", "issued")
    assert sorted(one.price_fen for one in lines(house, invoice)) == sorted([PRICE_FEN, FEE_FEN, USE_FEN, USE_FEN])
    assert invoice.total_fen == PRICE_FEN + FEE_FEN + 2 * USE_FEN
    assert {one.agreement_id for one in lines(house, invoice)} == {agreement}
    (told,) = entries(house, Tag.INVOICE_ISSUED)
    assert (told["facts"]["number"], told["facts"]["total_fen"]) == (invoice.number, invoice.total_fen)


def rerate_all(house: House, **values: int) -> None:
    with house.db() as db:
        rerate_in(db, house, **values)


def rerate_in(db: Session, house: House, **values: int) -> None:
    """A correction for days that are over: kind of tariff with `_` for `.` -> its right value."""
    named = {one.tariff.kind.replace(".", "_"): one for one in tariff_book().published}
    items = [
        named[kind].tariff.model_dump() | {"value": value, "range": None, "supersedes": named[kind].id}
        for kind, value in values.items()
    ]
    files = sorted(FOLDER.glob("*.json"))
    sheets = [TariffSheet.model_validate_json(file.read_bytes()) for file in files]
    book = TariffBook([*sheets, sheet(*items, name="correction")])
    rerating.rerate(db, costs.events_after(db, "", 100), house.clock.now(), book=book)


def test_what_was_rated_again_is_not_billed_again_and_paid_by_the_right_levies(house: House) -> None:
    sold(house, uses=1)
    invoice = billed(house)
    rerate_all(house, exchange_supplier_fee=50)
    assert bill(house) is None
    pay(house, invoice)
    for line in lines(house, invoice):
        if line.kind != queries.BUYER_FEE:
            assert shares(house, line)["exchange_fee"] == line.price_fen * 50 // 1000
    for who, account in (("hospital", "receivable"), ("exchange", "receivable"), ("pharma", "payable")):
        assert balance(house, house.cast[who].id, account) == 0


def test_a_credit_note_takes_back_the_posting_that_stands(house: House) -> None:
    sold(house, uses=1)
    invoice = billed(house)
    rerate_all(house, exchange_supplier_fee=50)
    credit(house, invoice)
    for who, account in (("hospital", "receivable"), ("hospital", "revenue:access"), ("pharma", "payable")):
        assert balance(house, house.cast[who].id, account) == 0
    assert imbalance(house) == 0
    assert bill(house) is None


@pytest.mark.parametrize("first", ["credit", "rerate"])
def test_what_is_credited_and_rated_again_at_once_leaves_no_charge(tmp_path: Path, either_url: str, first: str) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(1) as pool:
        sold(house, uses=1)
        invoice = billed(house)
        with house.db() as db:
            if first == "credit":
                credit_in(db, house, invoice)
                beside = pool.submit(rerate_all, house, exchange_supplier_fee=50)
            else:
                rerate_in(db, house, exchange_supplier_fee=50)
                beside = pool.submit(credit, house, invoice)
            with pytest.raises(TimeoutError):  # it waits for the first one
                beside.result(timeout=1)
        beside.result(timeout=20)
        for who, account in (("hospital", "receivable"), ("hospital", "revenue:access"), ("pharma", "payable")):
            assert balance(house, house.cast[who].id, account) == 0
        assert imbalance(house) == 0


def test_each_line_names_the_entries_that_prove_it(house: House) -> None:
    sold(house, uses=1)
    for line in lines(house, billed(house)):
        with house.db() as db:
            cause, posting = (
                read_strictly(db.get_one(Entry, one).body) for one in (line.entry_id, line.posting_entry_id)
            )
        assert (cause["tag"], posting["tag"]) == ("costing:metered", "ledger:posted")
        assert cause["facts"]["unit_price_fen"] in {line.price_fen, None}
        assert posting["facts"]["transaction"] == line.transaction_id
        assert str(-line.price_fen) in {one["amount_minor"] for one in posting["facts"]["postings"]}


def test_each_line_is_sealed_with_its_invoice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(billing, "LINES", 2)  # lines enter by the page
    sold(house, uses=2)
    made = lines(house, billed(house))
    assert [line.position for line in made] == list(range(1, len(made) + 1))
    assert len(made) > billing.LINES
    held = {line.id for line in made}

    def findings() -> list[tuple[str, str]]:
        with house.db() as db:
            return [(one.table, one.kind) for one in sealed_rows(db) if one.table.startswith("invoice")]

    with house.db() as db:
        sealed = [one for _, facts in told(db, Tag.ROWS_SEALED) for one in facts["rows"]]
    assert held == {one["key"] for one in sealed if one["table"] == "invoice_line"}
    assert findings() == []
    with house.runtime.database.engine.begin() as connection:
        connection.execute(text("UPDATE invoice_line SET price_fen = price_fen - 1 WHERE position = 2"))
    assert findings() == [("invoice_line", "edited")]


def test_the_document_is_of_its_schema_and_so_is_the_paper(house: House) -> None:
    sold(house, uses=1)
    invoice = billed(house)
    with house.db() as db:
        document = documents.content(db, invoice.document)
        readers = documents.get(db, invoice.document).readers
    schema = read_strictly((DOCUMENTS / "invoice.schema.json").read_bytes())
    jsonschema.validate(document, schema)
    assert document["net_fen"] + document["vat_fen"] == document["total_fen"] == invoice.total_fen
    assert sum(one["vat_fen"] for one in document["lines"]) == document["vat_fen"]
    assert set(readers) == {house.cast["pharma"].id, house.cast["exchange"].id}
    pdf = invoice_pdf(document, invoice.document)
    assert pdf == invoice_pdf(document, invoice.document)
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)
    assert invoice.number in text
    assert "CNY 50,000.00" in text


def test_billing_again_changes_nothing(house: House) -> None:
    sold(house, uses=1)
    billed(house)
    before = transactions(house), len(entries(house, Tag.INVOICE_ISSUED))
    assert bill(house) is None
    assert (transactions(house), len(entries(house, Tag.INVOICE_ISSUED))) == before


def test_what_comes_later_is_on_the_next_invoice_with_the_next_number(house: House) -> None:
    agreement = sold(house, uses=1)
    first = billed(house)
    use(house, agreement, 7)
    post(house)
    second = billed(house)
    assert (first.number, second.number) == ("INV-2026-000001", "INV-2026-000002")
    assert [one.price_fen for one in lines(house, second)] == [USE_FEN]


def test_a_month_that_ended_is_billed_with_its_minimum_by_the_clock(house: House) -> None:
    plan = {"kind": "per_use", "price_fen": USE_FEN, "monthly_minimum_fen": 3_000_000}
    listing = listed(house, **PER_USE | {"price_plan": plan})
    agreement = finalized(house, listing=listing, purpose=PER_USE["parameters"]["purposes"][0]).id
    use(house, agreement, 1)
    begun = house.clock.now()
    assert billing.bill_months(house.runtime) == 0
    house.clock.advance(timedelta(days=31))
    use(house, agreement, 2)
    assert billing.bill_months(house.runtime) == 1
    assert billing.bill_months(house.runtime) == 0
    with house.db() as db:
        (invoice,) = queries.invoices_of(db, house.cast["auditor"].actor).rows
    assert invoice.period == "2026-09"
    prices = sorted(one.price_fen for one in lines(house, invoice))
    days = 30 - begun.astimezone(CHINA).day + 1
    assert prices == sorted([FEE_FEN, USE_FEN, 3_000_000 * days // 30 - USE_FEN])
    assert imbalance(house) == 0


MINIMUM = {"kind": "per_use", "price_fen": USE_FEN, "monthly_minimum_fen": 3_000_000}


def test_months_that_a_service_slept_through_are_closed_and_one_unreadable_agreement_stops_no_other(
    house: House,
) -> None:
    listing = listed(house, **PER_USE | {"price_plan": MINIMUM})
    purpose = PER_USE["parameters"]["purposes"][0]
    torn, whole = sorted(finalized(house, listing=listing, purpose=purpose).id for _ in range(2))
    with house.arrange() as db:
        db.get_one(Agreement, torn).document = "0" * 64
    house.clock.advance(timedelta(days=70))
    for _ in range(2):
        billing.close_minimums(house.runtime, house.clock.now())
    closed = {key for key in metered(house) if key.startswith("use.minimum")}
    assert closed == {f"use.minimum:{whole}:{month}" for month in ("2026-09", "2026-10")}
    assert metered(house)[f"use.minimum:{whole}:2026-10"] == 3_000_000


def test_a_month_that_runs_is_not_billed_as_a_month(house: House) -> None:
    sold(house)
    with pytest.raises(MonthNotOver):
        bill(house, month="2026-09")
    house.clock.advance(timedelta(days=31))
    assert billed(house, month="2026-09").period == "2026-09"


def test_nobody_but_the_exchange_itself_issues(house: House) -> None:
    sold(house)
    pharma = house.cast["pharma"]
    with house.db() as db, pytest.raises(NotTheExchange):
        billing.issue(db, pharma.actor, exchange(house).participant, pharma.id, house.clock.now())


def test_two_who_bill_at_once_issue_one_invoice_and_leave_no_gap(tmp_path: Path, either_url: str) -> None:
    with open_house(tmp_path / "house", either_url) as house:
        agreement = sold(house, uses=2)
        with ThreadPoolExecutor(4) as pool:
            issued = [one for one in pool.map(lambda _: bill(house), range(4)) if one]
        assert [one.number for one in issued] == ["INV-2026-000001"]
        use(house, agreement, 9)
        post(house)
        assert billed(house).number == "INV-2026-000002"
