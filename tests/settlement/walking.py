"""A walk through a market: what happens in it is told by the log, entry by entry, and reckoned beside."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from sqlmodel import func, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.kernel.errors import DomainError
from marketplace.ledger import queries as books
from marketplace.settlement.models import PaymentOrder
from tests.exchange.parts import listed
from tests.house import House, open_house
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import BREACH, settle
from tests.settlement.parts import PER_USE, bank, billed, choose, lines, post, use
from tests.settlement.reckoning import Bill, Owed
from tests.settlement.test_journey import findings

FREE, HELD = ("finalized", "", ""), ("suspended", "service", "invoice_overdue")
COUNTED = {str(tag) for tag in Tag if tag.startswith("settlement:")}
COUNTED |= {Tag.AGREEMENT_SUSPENDED, Tag.AGREEMENT_RESUMED}


def arrange(house: House) -> None:
    """Two agreements of one buyer, used and not billed; beneficiaries of the hospital have named no account."""
    choose(house, "report-example-v1", operator=house.cast["operator"].id)
    listing, purpose = listed(house, **PER_USE), PER_USE["parameters"]["purposes"][0]
    for _ in range(2):
        use(house, finalized(house, listing=listing, purpose=purpose).id, 0)
    post(house)
    for who in ("exchange", "hospital", "pharma", "law_firm", "registrar"):
        bank(house, who)
    settle(house)


@dataclass(eq=False)
class Sent:
    """A transfer in a payment order.  refund: what it gives back, None where it pays shares or stages."""

    payer: str
    made: PaymentOrder
    reference: str
    fen: int
    told: list[Tag]
    undone: list[Tag]
    refund: Owed | None = None
    state: str = "ordered"

    def becomes(self, state: str) -> None:
        self.state = state
        if self.refund is not None and state in {"paid", "owed"}:
            self.refund.state = state
        elif self.refund is not None and state == "cancelled":
            self.refund.state = "owed"


class Walk(RuleBasedStateMachine):
    """A buyer, an exchange and its bank; a provider that pays for stages beside.

    market: folder as it was at `begun`.  stopped: agreement -> the side that suspended it.
    """

    def __init__(self, market: Path, begun: datetime) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory())) / "house"
        shutil.copytree(market, folder)
        self.house: House = self.stack.enter_context(open_house(folder))
        self.house.clock.advance(begun - self.house.clock.now())
        self.arranged, self.begun = findings(self.house), begun
        self.cash, self.posted = self.cash_of_all(), self.unlogged()
        self.bills: list[Bill] = []
        self.sent: list[Sent] = []
        self.cancelled: list[PaymentOrder] = []
        self.agreements: list[str] = []
        self.stopped: dict[str, str] = {}
        self.names = 0
        self.bill_what_was_used()
        self.agreements = sorted(self.bills[0].agreements)

    def teardown(self) -> None:
        with self.stack:
            assert findings(self.house) == self.arranged

    @contextmanager
    def recorded(self) -> Iterator[list[Tag]]:
        """An act, then whatever the workers do in its wake: the log has one entry of each tag that is put in the list.

        Beside them one for each agreement that stands otherwise than before, and what the clock alone brought about.
        """
        before, shown, told = self.entries(), self.shown(), list[Tag]()
        yield told
        for _ in range(2):
            settle(self.house)
        for bill in self.bills:
            told += bill.pass_time(self.house.clock.now())
        for name, now in self.shown().items():
            if shown.get(name, FREE) != now:
                told.append(Tag.AGREEMENT_RESUMED if now == FREE else Tag.AGREEMENT_SUSPENDED)
        assert self.entries() - before == Counter(told)
        self.house.clock.advance(timedelta(seconds=1))

    def refused(self, why: type[DomainError], act: Callable[[], Any]) -> None:
        before = self.entries(every=True), self.unlogged()
        with pytest.raises(why):
            act()
        assert (self.entries(every=True), self.unlogged()) == before

    def bill_what_was_used(self) -> None:
        with self.recorded() as tags:
            tags.append(Tag.INVOICE_ISSUED)
            found = billed(self.house)
            self.bills.append(Bill(found, {one.position: one for one in lines(self.house, found)}))

    def next(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"

    def is_held(self, name: str) -> bool:
        return any(bill.holds and name in bill.agreements for bill in self.bills)

    def shown(self) -> dict[str, tuple[str, str, str]]:
        """How each agreement stands: by a side that suspended it, else by what is unpaid."""
        sides_ = {name: ("suspended", self.house.cast[who].id, BREACH.reason) for name, who in self.stopped.items()}
        return {name: sides_.get(name, HELD if self.is_held(name) else FREE) for name in self.agreements}

    def entries(self, *, every: bool = False) -> Counter[str]:
        """Tag -> how many of it are in the log."""
        with self.house.runtime.database.reading() as db:
            rows = db.exec(select(Entry.tag, func.count()).group_by(Entry.tag)).all()
        return Counter({tag: count for tag, count in rows if every or tag in COUNTED})

    def unlogged(self) -> int:
        """Transactions in the books without an entry of their own."""
        with self.house.runtime.database.reading() as db:
            return books.counts(db)[0] - self.entries(every=True)[Tag.LEDGER_POSTED]

    def cash_of_all(self) -> int:
        with self.house.runtime.database.reading() as db:
            return sum(one.amount_minor for one in books.balances(db) if one.account == "asset:cash")


def walk(machine: type[Walk], folder: Path) -> None:
    """Let a machine go its ways, the same ones each time, through a market that is arranged once."""
    with open_house(folder / "market") as house:
        arrange(house)
        begun = house.clock.now()
    run_state_machine_as_test(
        lambda: machine(folder / "market", begun),
        settings=settings(
            max_examples=10,
            stateful_step_count=16,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
