"""What goes on to those who are owed, and comes back from them, while the buyer pays and has it taken back."""

from __future__ import annotations

from pathlib import Path

from hypothesis.stateful import precondition, rule

from marketplace.audit.entry import Tag
from marketplace.kernel.transitions import WrongState
from marketplace.settlement.bank.orders import NothingToPay
from tests.settlement import owing
from tests.settlement.test_cancelled_orders import cancel
from tests.settlement.test_paying_machine import Paying, few
from tests.settlement.test_refunds import debit
from tests.settlement.test_returned import returned
from tests.settlement.walking import Sent, walk

LATEST = -1


class Sending(Paying):
    """Payment orders of the exchange and of the hospital beside, carried out, returned, cancelled."""

    @rule()
    def the_hospital_orders(self) -> None:
        waits = [one for one in owing.everything(self.house) if one.state == "owed"]
        if not waits:
            self.refused(NothingToPay, lambda: owing.order(self.house))
            return
        with self.recorded() as tags:
            tags.append(Tag.PAYMENTS_ORDERED)
            made = owing.order(self.house)
            assert made.total_fen == sum(one.amount_fen for one in waits)
            for one in owing.everything(self.house):
                if one.order_id == made.id:
                    told, undone = [Tag.PAYABLE_PAID], [Tag.PAYABLE_OWED]
                    self.sent.append(Sent("hospital", made, str(one.reference), one.amount_fen, told, undone))

    @precondition(lambda self: self.sent)
    @rule(which=few)
    def the_bank_carries_out(self, which: int) -> None:
        """A transfer that was ordered, or one that was cancelled meanwhile, which changes nothing but the log."""
        waits = [one for one in self.sent if one.state in {"ordered", "cancelled"}]
        if not waits:
            return
        one = waits[which % len(waits)]
        late = one.state == "cancelled"
        with self.recorded() as tags:
            tags += [Tag.BANK_ENTRY_TAKEN, *([] if late else one.told)]
            one.becomes("contested" if late else "paid")
            text = debit(self.next("D"), one.fen, one.reference)
            outcome = "order_cancelled" if late else "refunded" if one.refund else "paid_out"
            assert [owing.take(self.house, text, one.payer) for _ in range(2)] == [[outcome], ["taken_before"]]

    @precondition(lambda self: self.sent)
    @rule(which=few)
    def a_transfer_comes_back(self, which: int) -> None:
        known = [one for one in self.sent if one.state in {"ordered", "paid", "contested"}]
        if not known:
            return
        one = known[which % len(known)]
        with self.recorded() as tags:
            late = one.state == "contested"
            tags += [Tag.BANK_ENTRY_TAKEN, *([] if late else one.undone)]
            one.becomes("over" if late else "owed")
            text = returned(self.next("B"), one.fen, one.reference)
            assert [owing.take(self.house, text, one.payer) for _ in range(2)] == [["returned"], ["taken_before"]]

    @rule(which=few)
    def a_share_comes_back_and_is_sent_again(self, which: int) -> None:
        self.the_bank_tells([("pays", which, "rest")])
        for _ in range(2):
            self.the_exchange_orders()
            self.the_bank_carries_out(LATEST)
            self.a_transfer_comes_back(LATEST)

    @precondition(lambda self: self.sent)
    @rule(which=few)
    def an_order_is_cancelled(self, which: int) -> None:
        chosen = self.sent[which % len(self.sent)]
        waits = [one for one in self.sent if one.made is chosen.made and one.state == "ordered"]
        if not waits or chosen.made in self.cancelled:
            self.refused(WrongState, lambda: cancel(self.house, chosen.made, chosen.payer))
            return
        with self.recorded() as tags:
            tags.append(Tag.PAYMENTS_CANCELLED)
            self.cancelled.append(chosen.made)
            for one in waits:
                one.becomes("cancelled")
            cancel(self.house, chosen.made, chosen.payer)


def test_no_order_of_transfers_and_returns_makes_the_books_untrue(tmp_path: Path) -> None:
    walk(Sending, tmp_path)
