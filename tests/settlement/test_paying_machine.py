"""Money in whatever order it comes, is taken back and goes on: books, lists, log and holds agree at every step."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from marketplace.audit.entry import Tag
from marketplace.kernel.transitions import WrongState
from marketplace.settlement import overview, queries
from marketplace.settlement.bank.orders import NothingToPay
from marketplace.settlement.crediting import NothingToCredit, SharesPaidOut
from marketplace.settlement.models import Share
from tests.negotiation.succession.parts import agreement_of, resume, suspend
from tests.settlement import owing
from tests.settlement.parts import all_shares, balance, credit, imbalance, pay, post, use
from tests.settlement.reckoning import Bill, Payment
from tests.settlement.test_bank import order, statement, take, together
from tests.settlement.test_refunds import refunds, yuan
from tests.settlement.test_statements import back
from tests.settlement.walking import Sent, Walk, walk

WITHIN = timedelta(days=88)
"""Before the first report of use falls due, whose absence would hold the agreements as well."""
SUMS = ("rest", "part", "rest", "part", "more", "whole")
few, sides = st.integers(0, 5), st.sampled_from(["pharma", "hospital"])
bank_line = st.tuples(st.sampled_from(["pays", "recalls"]), few, st.sampled_from(SUMS))


class Paying(Walk):
    """The buyer's money, at every moment; who repeats something changes nothing more."""

    @initialize(days=st.sampled_from([0, 31]))
    def some_time_after_the_first_invoice(self, days: int) -> None:
        self.time_passes(days)

    @precondition(lambda self: len(self.bills) < 2)
    @rule(which=few)
    def uses_and_is_billed(self, which: int) -> None:
        use(self.house, self.agreements[which % len(self.agreements)], len(self.bills))
        post(self.house)
        self.bill_what_was_used()

    @rule(told=st.lists(bank_line, min_size=1, max_size=3))
    def the_bank_tells(self, told: list[tuple[str, int, str]]) -> None:
        """Some lines in one statement, which is handed in twice.

        What holds an agreement is not both paid and taken back in one: it would be resumed and suspended in one act.
        """
        texts, expected = list[str](), list[tuple[str, str]]()
        with self.recorded() as tags:
            for kind, which, sum_ in told:
                bill = self.bills[which % len(self.bills)]
                known = [one for one in bill.payments if one.reference is not None]
                if kind == "pays":
                    text, outcome = self.comes(bill, self.amount(bill, sum_), tags)
                elif known and not (bill.holds and not bill.lacks):
                    text, outcome = self.goes(bill, known[-1 if sum_ == "rest" else 0])
                else:
                    continue
                texts.append(text)
                expected.append((outcome, bill.invoice.id))
                tags.append(Tag.BANK_ENTRY_TAKEN)
            if texts:
                assert take(self.house, together(*texts)) == expected
                assert {outcome for outcome, _ in take(self.house, together(*texts))} == {"taken_before"}

    @rule(which=few, days=st.sampled_from([1, 13]), times=st.integers(1, 2))
    def somebody_pays_and_has_it_taken_back(self, which: int, days: int, times: int) -> None:
        for _ in range(times):
            self.the_bank_tells([("pays", which, "rest")])
            self.time_passes(days)
            self.the_bank_tells([("recalls", which, "rest")])

    @rule(which=few, sum_=st.sampled_from(SUMS))
    def the_exchange_enters_a_payment(self, which: int, sum_: str) -> None:
        bill, name = self.bills[which % len(self.bills)], self.next("hand")
        fen = self.amount(bill, sum_)
        if bill.closed and not bill.lacks:
            self.refused(WrongState, lambda: pay(self.house, bill.invoice, name, fen))
            return
        with self.recorded() as tags:
            tags.extend(bill.pay(Payment(fen, None)))
            for _ in range(2):
                pay(self.house, bill.invoice, name, fen)

    @rule(which=few, data=st.data())
    def credits(self, which: int, data: st.DataObject) -> None:
        bill = self.bills[which % len(self.bills)]
        self.takes_lines_back(bill, data.draw(st.sets(st.sampled_from(sorted(bill.lines)), max_size=2)))

    @rule(which=few)
    def a_part_is_taken_back_of_what_was_credited(self, which: int) -> None:
        """Its refund is more than that, and waits whole until the part is made good."""
        self.the_bank_tells([("pays", which, "part"), ("pays", which, "rest")])
        self.takes_lines_back(self.bills[which % len(self.bills)], set())
        self.the_bank_tells([("recalls", which, "rest")])

    def takes_lines_back(self, bill: Bill, places: set[int]) -> None:
        left = (places or set(bill.lines)) - bill.credited
        gone = {one.line_id for one in all_shares(self.house) if one.order_id is not None}
        if not left or any(bill.lines[place].id in gone for place in left):
            self.refused(SharesPaidOut if left else NothingToCredit, lambda: credit(self.house, bill.invoice, places))
            return
        with self.recorded() as tags:
            tags.extend(bill.credit(left))
            credit(self.house, bill.invoice, places)

    @rule()
    def the_exchange_orders(self) -> None:
        """What waits of invoices that lack nothing, and no fen of the others."""
        whole = [bill for bill in self.bills if bill.closed and not bill.lacks]
        mine = {line.id for bill in whole for line in bill.sold}
        hospital = self.house.cast["hospital"].id
        waits = [one for one in all_shares(self.house) if one.order_id is None and not one.void]
        fen = sum(one.amount_fen for one in waits if one.line_id in mine and one.owner == hospital)
        back_ = [one for bill in whole for one in bill.refunds if one.state == "owed"]
        if not fen and not back_:
            self.refused(NothingToPay, lambda: order(self.house))
            return
        with self.recorded() as tags:
            tags.append(Tag.PAYMENTS_ORDERED)
            made = order(self.house)
            assert (made.total_fen, made.payments) == (fen + sum(one.fen for one in back_), len(back_) + bool(fen))
            if fen:
                name = next(str(one.reference) for one in all_shares(self.house) if one.order_id == made.id)
                self.sent.append(Sent("exchange", made, name, fen, [Tag.SHARES_PAID], [Tag.SHARES_OWED]))
            names = [str(one.reference) for one in refunds(self.house) if one.order_id == made.id]
            for name, one in zip(names, back_, strict=True):
                one.state = "ordered"
                self.sent.append(Sent("exchange", made, name, one.fen, [Tag.REFUND_PAID], [Tag.REFUND_OWED], one))

    @rule(which=few, who=sides)
    def a_side_suspends(self, which: int, who: str) -> None:
        name = self.agreements[which % 2]
        if self.stopped.get(name, who) != who:
            self.refused(WrongState, lambda: suspend(self.house, name, who))
            return
        with self.recorded():
            self.stopped[name] = who
            for _ in range(2):
                suspend(self.house, name, who)

    @precondition(lambda self: self.stopped)
    @rule(which=few)
    def the_side_that_suspended_resumes(self, which: int) -> None:
        name = sorted(self.stopped)[which % len(self.stopped)]
        with self.recorded():
            resume(self.house, name, self.stopped.pop(name))

    @rule(which=few, who=sides)
    def a_side_suspends_and_resumes_what_an_invoice_holds(self, which: int, who: str) -> None:
        self.the_bank_tells([("recalls", which, "rest")])
        for days in (30, 14):
            self.time_passes(days)
        self.a_side_suspends(which, who)
        if self.stopped:
            self.the_side_that_suspended_resumes(which)

    @rule(days=st.sampled_from([1, 13, 14, 30]))
    def time_passes(self, days: int) -> None:
        """The workers do what is due, again as well."""
        if self.house.clock.now() + timedelta(days=days) > self.begun + WITHIN:
            return
        with self.recorded():
            self.house.clock.advance(timedelta(days=days))

    def amount(self, bill: Bill, sum_: str) -> int:
        """Fen by a word."""
        left = max(bill.lacks, 1)
        return {"rest": left, "part": left // 3 + 1, "more": left + 700, "whole": bill.invoice.total_fen}[sum_]

    def comes(self, bill: Bill, fen: int, tags: list[Tag]) -> tuple[str, str]:
        """A line of money that comes in, and what becomes of it."""
        name, left = self.next("R"), bill.lacks
        untold = [one for one in bill.payments if one.reference is None and one.fen == fen]
        if untold:
            untold[0].reference, outcome = name, "confirmed"
        else:
            outcome = "overpaid" if fen > left else "part_paid" if fen < left else "paid"
            tags += bill.pay(Payment(fen, name))
        return statement((name, yuan(fen), bill.invoice.number)), outcome

    def goes(self, bill: Bill, payment: Payment) -> tuple[str, str]:
        """A line of the bank that takes money back."""
        bill.take_back(payment, self.house.clock.now())
        paid = statement((str(payment.reference), yuan(payment.fen), bill.invoice.number))
        return back(paid).replace("CRDT", "DBIT"), "reversed"

    @invariant()
    def the_books_are_the_money_that_moved(self) -> None:
        house, bills = self.house, self.bills
        buyer, venue = house.cast["pharma"].id, house.cast["exchange"].id
        assert imbalance(house) == 0
        assert self.cash_of_all() == self.cash
        assert balance(house, buyer, "asset:cash") == -sum(one.kept for one in bills)
        assert balance(house, buyer, "payable") == -sum(one.lacks for one in bills)
        assert balance(house, buyer, "asset:refund-due") == sum(one.due for one in bills)
        assert balance(house, venue, "refunds") == -sum(one.due for one in bills)
        back_ = sum(one.amount_fen for one in all_shares(house) if one.returned_as is not None)
        open_ = sum(one.lacks if one.closed else -one.kept for one in bills)
        assert balance(house, venue, "clearing") == open_ - back_

    @invariant()
    def the_lists_say_what_the_books_say(self) -> None:
        house, now = self.house, self.house.clock.now()
        with house.runtime.database.reading() as db:
            rows = [queries.invoice(db, one.invoice.id) for one in self.bills]
            owed = overview.owed(db, house.cast["pharma"].actor, now)
        assert owed[0] == sum(one.lacks for one in self.bills)
        assert owed[1] == sum(one.lacks for one in self.bills if one.invoice.due_at <= now)
        back_ = refunds(house)
        for row, bill in zip(rows, self.bills, strict=True):
            assert (row.state, row.credited_fen) == (bill.state, row.total_fen - bill.asked)
            assert row.bounced_fen == (bill.lacks if bill.closed else 0)
            assert 0 <= row.received_fen <= row.total_fen
            assert bill.closed or row.received_fen == bill.kept
            listed_ = [(one.amount_fen, one.state) for one in back_ if one.invoice_id == row.id and not one.void]
            assert listed_ == [(one.fen, one.state) for one in bill.refunds]
        for payee in ("law_firm", "registrar"):
            left = sum(one.amount_fen for one in owing.everything(house, payee) if one.state != "paid")
            assert balance(house, house.cast[payee].id, "receivable") == left

    @invariant()
    def shares_divide_what_is_paid_and_nothing_is_sent_beyond_what_came_in(self) -> None:
        by_line = dict[str, list[Share]]()
        for one in all_shares(self.house):
            by_line.setdefault(one.line_id, []).extend([] if one.void else [one])
        for bill in self.bills:
            paid = {line.id for line in bill.sold} if bill.closed else set()
            for line in bill.lines.values():
                assert sum(one.amount_fen for one in by_line.get(line.id, [])) == (
                    line.price_fen if line.id in paid else 0
                )
            gone = sum(one.amount_fen for name in paid for one in by_line[name] if one.order_id)
            gone += sum(one.fen for one in bill.refunds if one.state != "owed")
            assert bill.lacks or gone <= bill.came

    @invariant()
    def an_agreement_is_held_exactly_while_money_is_missing_beyond_its_grace(self) -> None:
        for name, shown in self.shown().items():
            found = agreement_of(self.house, name)
            assert (found.state, found.suspended_by, found.reason) == shown
            assert found.unpaid is self.is_held(name)

    @invariant()
    def every_posting_has_its_entry(self) -> None:
        assert self.unlogged() == self.posted


def test_no_order_of_payments_recalls_and_credits_makes_the_books_untrue(tmp_path: Path) -> None:
    walk(Paying, tmp_path)
