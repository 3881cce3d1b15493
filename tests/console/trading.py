"""A market after a few sales, as the desks of its parties show it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi.testclient import TestClient
from sqlalchemy import event

from marketplace.accounting import capital
from marketplace.accounting.schemas import CapitalisationIn
from marketplace.exchange.demands import publish_demand
from marketplace.exchange.schemas import DemandIn
from marketplace.kernel.money import Money
from marketplace.main import create_app
from marketplace.planning import queries
from marketplace.settlement.models import Invoice
from tests.console.reading import Page
from tests.exchange.parts import listed, terms_of
from tests.house import House, open_house
from tests.settlement.parts import PRICE_FEN, billed, choose, pay, post, sold, use

HOSPITAL, PHARMA, EXCHANGE = "prt_hospital", "prt_pharma", "prt_exchange"
CAP_FEN = 900_000
# Dear enough to earn its cost back, so that something is left to be divided.
CAPPED = terms_of("per-case/v1") | {
    "price_plan": {"kind": "per_case", "price_fen": 5500, "monthly_cap_fen": CAP_FEN, "access_fen": 4 * PRICE_FEN}
}
DESKS = {
    "director": f"/participants/{HOSPITAL}/director",
    "sales": f"/participants/{HOSPITAL}/sales",
    "issued": f"/participants/{EXCHANGE}/sales",
    "shares": f"/participants/{HOSPITAL}/shares",
    "payables": f"/participants/{HOSPITAL}/payables",
    "purchases": f"/participants/{PHARMA}/purchases",
    "demand": "/demand",
    "tariffs": "/tariffs",
}


@dataclass
class Trade:
    """A market after a few sales, its browser, and the statements of each desk after one sale and after three."""

    house: House
    browser: TestClient
    demand: str = ""
    paid: Invoice | None = None
    unpaid: Invoice | None = None
    early: dict[str, int] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)

    def page(self, address: str, **asked: Any) -> Page:
        answer = self.browser.get(address, params={"lang": "en"} | asked)
        assert answer.status_code == 200, (address, answer.status_code, answer.text[:300])
        return Page(answer.text)

    def pages(self, address: str, name: str, **begun: str) -> Iterator[Page]:
        """A page and those that follow it by the links of one of its lists."""
        asked = [begun]
        while asked:
            page = self.page(address, **asked[0])
            yield page
            links = [urlsplit(str(one["href"])) for one in page.named("a") if one.get("rel") == "next"]
            assert {one.path for one in links} <= {address}
            asked = [dict(parse_qsl(one.query)) for one in links if one.fragment == name]

    def statements(self) -> dict[str, int]:
        """Desk -> the statements that reading it takes."""
        return {name: self._statements(address) for name, address in DESKS.items()}

    def _statements(self, address: str) -> int:
        made: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            made.append(statement)

        engine = self.house.runtime.database.engine
        self.page(address)
        event.listen(engine, "before_cursor_execute", note)
        try:
            self.page(address)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        return len(made)


@contextmanager
def open_trade(folder: Path) -> Iterator[Trade]:
    """One sale, paid; then two more, one of them billed and overdue; uses on no invoice; one demand."""
    with open_house(folder) as house:
        choose(house, "full-waterfall-v1", operator=house.cast["operator"].id)
        first = sold(house, uses=3)
        with TestClient(create_app(house.runtime), headers={"accept": "text/html"}) as browser:
            made = Trade(house, browser)
            made.paid = pay(house, billed(house))
            made.demand = demanded(house)
            made.early = made.statements()
            second = sold(house, uses=2)
            _capitalised(house)
            made.unpaid = billed(house)
            house.clock.advance(made.unpaid.due_at - house.clock.now() + timedelta(hours=1))
            sold(house, listing=listed(house, **CAPPED), purpose=CAPPED["parameters"]["purposes"][0])
            for agreement in (first, second):
                use(house, agreement, 77)
            post(house)
            made.late = made.statements()
            yield made


def demanded(house: House, title: str = "an example of a demand") -> str:
    """A demand of the buyer; its id."""
    asked = DemandIn(title=title, purpose="model_training", modality="MR", budget_fen=100)
    with house.db() as db:
        return publish_demand(db, house.cast["pharma"].actor, asked, house.clock.now()).id


def _capitalised(house: House) -> None:
    hospital, form = house.cast["hospital"].actor, CapitalisationIn(held_for="own_use")
    with house.db() as db:
        asset = queries.assets(db, hospital.participant)[0]
        capital.capitalise(db, hospital, asset, form, house.clock.now())


def yuan(fen: int) -> str:
    return f"RMB {Money(fen).decimal:,.2f}"
