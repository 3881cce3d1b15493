"""What a hospital owes its law firm and registrar: ordered from its bank once, confirmed, owed again, paid by hand."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
from sqlalchemy import event
from typer.testing import CliRunner

from marketplace.audit.entry import Tag
from marketplace.commands import books as commands
from marketplace.main import ROUTERS
from marketplace.settlement.bank.orders import NoOwnAccount, NothingToPay
from marketplace.settlement.bank.queries import orders_of
from marketplace.settlement.payables import overview
from marketplace.settlement.payables.queries import NoSuchPayable
from marketplace.settlement.rules import NotTheBearer, NotTheExchange
from marketplace.transfer import queries as transfer
from tests.exchange.parts import certified
from tests.house import House, open_house
from tests.participants.small_market import open_market
from tests.settlement.owing import open_between, order, pay_by_hand, payables, take
from tests.settlement.parts import balance, bank, imbalance, post
from tests.settlement.test_bank import statement, together
from tests.settlement.test_journey import findings
from tests.settlement.test_refunds import debit
from tests.settlement.test_returned import returned
from tests.transfer.doors import entries
from workers.relay import run_due


def test_what_is_owed_for_stages_is_ordered_once_confirmed_owed_again_and_paid(owing: House) -> None:
    arranged = findings(owing)
    firm, hospital = owing.cast["law_firm"].id, owing.cast["hospital"].id
    opinion, certificate = (payables(owing)[kind] for kind in ("legal.opinion", "registration.certificate"))
    before, due = open_between(owing, "law_firm"), opinion.amount_fen
    assert (opinion.payee_id, opinion.state, before[2]) == (firm, "owed", due)
    assert set(payables(owing, "law_firm")) == {"legal.opinion"}
    assert payables(owing, "pharma") == {}
    with pytest.raises(NoOwnAccount):
        order(owing)
    bank(owing, "hospital")
    with pytest.raises(NothingToPay):
        order(owing)
    bank(owing, "law_firm", account="6222000055556666")
    made = order(owing)
    assert (made.payments, made.total_fen, made.issuer_id) == (1, due, hospital)
    assert "6222000055556666" in made.message
    assert (payables(owing)["legal.opinion"].state, payables(owing)[certificate.kind].state) == ("ordered", "owed")
    assert open_between(owing, "law_firm") == before
    with pytest.raises(NothingToPay):
        order(owing)

    name = str(payables(owing)["legal.opinion"].reference)
    assert take(owing, debit("D0", due - 1, name)) == []
    assert take(owing, statement(("C1", "12.00", "INV-2026-000001"))) == []  # what else its bank tells is its own
    unnamed = statement(("R", "12.00", "x")).replace("<AcctSvcrRef>R</AcctSvcrRef>", "")
    assert take(owing, unnamed) == []  # not even where this service could not tell it apart
    assert [take(owing, debit("D1", due, name)) for _ in range(2)] == [["paid_out"], ["taken_before"]]
    assert payables(owing, "law_firm")["legal.opinion"].state == "paid"
    assert open_between(owing, "law_firm") == (before[0] + due, before[1] - due, 0, before[3] + due)

    assert take(owing, returned("R1", due, name)) == ["returned"]
    assert (payables(owing)["legal.opinion"].state, open_between(owing, "law_firm")) == ("owed", before)
    run_due(owing.runtime)
    with owing.runtime.database.reading() as db:
        (notice,) = transfer.notices(db, owing.cast["law_firm"].actor).rows
    assert (notice.kind, notice.stopped_by) == ("payment-notice", hospital)

    again = order(owing, "hospital", opinion.meter_event)
    name = str(payables(owing)["legal.opinion"].reference)
    assert take(owing, debit("D2", again.total_fen, again.id[:35], "PmtInfId")) == ["paid_out"]
    assert open_between(owing, "law_firm") == (before[0] + due, before[1] - due, 0, before[3] + due)
    told = [[one["facts"]["amount_fen"] for one in entries(owing, tag)] for tag in (Tag.PAYABLE_PAID, Tag.PAYABLE_OWED)]
    assert told == [[due, due], [due]]
    assert imbalance(owing) == 0
    assert findings(owing) == arranged


def test_all_that_one_order_pays_enters_the_books_at_once_so_that_writers_cannot_deadlock(owing: House) -> None:
    for who in ("hospital", "law_firm", "registrar"):
        bank(owing, who)
    made = order(owing)
    grown = list[str]()

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        grown.extend([statement] if statement.startswith("INSERT INTO account_balance") else [])

    event.listen(owing.runtime.database.engine, "before_cursor_execute", note)
    assert take(owing, debit("D1", made.total_fen, made.id[:35], "PmtInfId")) == ["paid_out"]
    assert (made.payments, len(grown)) == (2, 1)
    assert {one.state for one in payables(owing).values()} == {"paid"}
    assert take(owing, returned("R1", made.total_fen, made.id[:35]).replace("EndToEndId", "PmtInfId")) == ["returned"]
    assert (len(grown), {one.state for one in payables(owing).values()}) == (2, {"owed"})
    assert len(entries(owing, Tag.PAYABLE_OWED)) == 2

    again = order(owing)
    each = {str(one.reference): one.amount_fen for one in payables(owing).values()}
    told = [debit(f"D{fen}", fen, name) for name, fen in each.items()]
    told += [returned(f"R{fen}", fen, name) for name, fen in each.items()]
    assert (again.payments, take(owing, together(*told))) == (2, ["paid_out"] * 2 + ["returned"] * 2)
    assert len(grown) == 4, "a whole statement is posted at once, and what came back in it is reversed at once"
    assert {one.state for one in payables(owing).values()} == {"owed"}
    assert open_between(owing, "law_firm")[2:] == (payables(owing)["legal.opinion"].amount_fen, 0)
    assert imbalance(owing) == 0


def test_a_provider_says_by_hand_that_it_paid_and_nobody_else_does(owing: House) -> None:
    opinion, certificate = (payables(owing)[kind] for kind in ("legal.opinion", "registration.certificate"))
    for who in ("law_firm", "pharma", "exchange"):
        with pytest.raises(NoSuchPayable):
            pay_by_hand(owing, opinion.meter_event, who)
        with pytest.raises(NotTheBearer):
            order(owing, who)
    with pytest.raises(NotTheExchange):
        take(owing, debit("D1", 1, "x"), "pharma")
    for _ in range(2):
        assert pay_by_hand(owing, certificate.meter_event).state == "paid"
    assert balance(owing, owing.cast["registrar"].id, "receivable") == 0
    bank(owing, "hospital")
    bank(owing, "registrar")
    with pytest.raises(NoSuchPayable):
        order(owing, "hospital", certificate.meter_event)
    bank(owing, "law_firm")
    order(owing)
    name, due = str(payables(owing)["legal.opinion"].reference), opinion.amount_fen
    pay_by_hand(owing, opinion.meter_event)
    take(owing, debit("D1", due, name))  # the statement tells what was said by hand: paid once
    assert balance(owing, owing.cast["law_firm"].id, "asset:cash") == due
    assert len(entries(owing, Tag.PAYABLE_PAID)) == 2
    assert "B-77" not in str(entries(owing, Tag.PAYABLE_PAID))


def test_what_is_ordered_or_paid_at_once_is_paid_once(tmp_path: Path, either_url: str) -> None:
    with open_house(tmp_path / "house", either_url) as house, ThreadPoolExecutor(2) as pool:
        certified(house)
        post(house)
        for who in ("hospital", "law_firm", "registrar"):
            bank(house, who)
        event = payables(house)["legal.opinion"].meter_event
        asked = [pool.submit(order, house), pool.submit(order, house), pool.submit(pay_by_hand, house, event)]
        failed = [type(one.exception(timeout=20)) for one in asked if one.exception(timeout=20)]
        assert failed == [NothingToPay]
        assert len(entries(house, Tag.PAYMENTS_ORDERED)) == len(entries(house, Tag.PAYABLE_PAID)) == 1
        assert imbalance(house) == 0
        assert sums_page_by_page(house) == sums_of_all(house)


def sums_page_by_page(house: House) -> tuple[int, int, int]:
    """What the hospital owes, has ordered and has paid, as its page lists it, one at a time."""
    hospital, found, last = house.cast["hospital"].actor, Counter[str](), None
    with house.runtime.database.reading() as db:
        while part := overview.listed(db, hospital, limit=1, after=last):
            found[part[0].state] += part[0].amount_fen
            last = overview.cursor(part[0])
    return found["owed"], found["ordered"], found["paid"]


def sums_of_all(house: House) -> tuple[int, int, int]:
    """The same as the head of its page says it, and as its table by payee."""
    hospital = house.cast["hospital"].actor
    with house.runtime.database.reading() as db:
        one, others = overview.totals(db, hospital)[True], overview.standings(db, hospital, limit=9)
    assert sum(each.paid_fen for each in others) == one.paid_fen
    assert {each.other for each in others} == {house.cast[name].id for name in ("law_firm", "registrar")}
    return one.owed_fen, one.ordered_fen, one.paid_fen


def orders_of_hospital(house: House) -> list[str]:
    with house.runtime.database.reading() as db:
        return [one.id for one in orders_of(db, house.cast["hospital"].actor).rows]


def test_the_command_line_shows_what_is_owed_and_writes_the_file_for_the_bank(
    owing: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for who in ("hospital", "law_firm"):
        bank(owing, who)
    with open_market(owing, ROUTERS) as market:
        monkeypatch.setattr(commands, "client_of", lambda url, party: nullcontext(market.client("hospital")))
        files = ["--as", str(tmp_path), "--file", str(tmp_path / "payments.xml")]
        done = CliRunner().invoke(commands.books_commands, ["pay", *files])
        shown = CliRunner().invoke(commands.books_commands, ["payables", "--as", str(tmp_path)])
        (made,) = orders_of_hospital(owing)
        ended = [
            CliRunner().invoke(commands.books_commands, [*words, "--as", str(tmp_path)])
            for words in (
                ["cancel", made],
                ["orders"],
                ["resolve", made, "--decision", "carried_out"],
                ["orders"],
            )
        ]
    assert [one.exit_code for one in (done, shown, *ended)] == [0] * 6, done.output + shown.output + ended[0].output
    assert [ended[place].stdout.split()[1] for place in (1, 3)] == ["cancelled", "placed"]
    states = {line.split()[3]: line.split()[1] for line in shown.stdout.splitlines()}
    assert states == {"legal.opinion": "ordered", "registration.certificate": "owed"}
    name = str(payables(owing)["legal.opinion"].reference)
    assert f"<EndToEndId>{name}</EndToEndId>" in (tmp_path / "payments.xml").read_text("utf-8")
