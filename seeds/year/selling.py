"""How contracts come about in the year: asked for, negotiated in rounds, offered unasked, answered by a rule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from marketplace.client.acts import propose
from marketplace.client.problem import ProblemError
from seeds.year.making import PURPOSES
from seeds.year.plot import Sale, product_named
from seeds.year.state import Deal, Year

WHY = "planned study, protocol attached (example)"
BID_PER_MILLE, MIDDLE_PER_MILLE = 800, 900
"""What a buyer asks for in the first round, and what both meet at, of the listed price."""


def sell(year: Year, sale: Sale) -> None:
    """A contract between the hospital and a buyer, signed by both and in force."""
    product = product_named(year.plot, sale.product)
    purpose = PURPOSES[product.template][0]
    agreement = HOW[sale.how](year, sale, purpose)
    document = year[sale.buyer].get(f"/v1/agreements/{agreement}")["document"]
    for party in (sale.buyer, "hospital"):
        signed = year[party].sign(document, "agreement")
        year[party].post(f"/v1/agreements/{agreement}/signature", signed)
    year.almanac.work()  # the delivery is prepared, the sale posted
    year.deals.append(Deal(sale, purpose, {agreement: year.now}))
    year.note("sold", product=sale.product, buyer=sale.buyer, how=sale.how)


def oversell(year: Year, *, product: str, buyer: str) -> None:
    """A sale beyond the cost of what may only recover it: the last signature is refused."""
    try:
        sell(year, Sale(product, buyer, ""))
    except ProblemError as refused:
        year.note("not_sold", product=product, buyer=buyer, why=refused.slug)
        return
    raise AssertionError(f"{product} was sold to {buyer} with a margin")


def amend(year: Year, *, product: str, buyer: str, price_fen: int) -> None:
    """The buyer proposes another price of access for more uses, the hospital signs."""
    deal = year.deal(product, buyer)
    plan = product_named(year.plot, product).plan | {"price_fen": price_fen}
    _succeed(year, deal, "amendment", reason="more_uses_needed", parameters={"max_uses": 400}, price_plan=plan)


def renew(year: Year, *, product: str, buyer: str) -> None:
    """The buyer proposes to go on after the term, the hospital signs."""
    _succeed(year, year.deal(product, buyer), "renewal", reason="study_goes_on")


def _succeed(year: Year, deal: Deal, kind: str, **asked: Any) -> None:
    successor = propose(year[deal.sale.buyer], deal.agreement(year.now), kind, **asked)
    hospital = year["hospital"]
    signed = hospital.sign(successor["document"], "agreement")
    hospital.post(f"/v1/agreements/{successor['id']}/signature", signed)
    deal.line[successor["id"]] = max(datetime.fromisoformat(successor["starts_at"]), year.now)
    year.almanac.work()
    year.note(kind, product=deal.sale.product, buyer=deal.sale.buyer)


def _request(year: Year, sale: Sale, purpose: str, terms: dict[str, Any] | None = None) -> str:
    body = {"listing": year.made[sale.product].listing, "purpose": purpose, "justification": WHY}
    asked = year[sale.buyer].post("/v1/requests", body | ({"terms": terms} if terms else {}))
    return str(asked["id"])


def _asked(year: Year, sale: Sale, purpose: str) -> str:
    request = _request(year, sale, purpose)
    return str(year["hospital"].post(f"/v1/requests/{request}/approval", {})["id"])


def _countered(year: Year, sale: Sale, purpose: str) -> str:
    """The buyer bids low, the hospital offers the listed price, the buyer asks for the middle and gets it."""
    plan = product_named(year.plot, sale.product).plan

    def at(per_mille: int) -> dict[str, Any]:
        return {"price_plan": plan | {"price_fen": plan["price_fen"] * per_mille // 1000}}

    request = _request(year, sale, purpose, at(BID_PER_MILLE))
    year["hospital"].post(f"/v1/requests/{request}/offer", at(1000))
    year[sale.buyer].post(f"/v1/requests/{request}/counter-offer", at(MIDDLE_PER_MILLE))
    return str(year["hospital"].post(f"/v1/requests/{request}/approval", {})["id"])


def _offered(year: Year, sale: Sale, purpose: str) -> str:
    buyer = year.world.ids[sale.buyer]
    body = {"listing": year.made[sale.product].listing, "buyer": buyer, "purpose": purpose}
    return str(year["hospital"].post("/v1/direct-offers", body)["agreement_id"])


def _ruled(year: Year, sale: Sale, purpose: str) -> str:
    listing, hospital = year.made[sale.product].listing, year["hospital"]
    plan = product_named(year.plot, sale.product).plan
    kinds = sorted({part.kind for part in year.plot.cast})
    rule = {"purposes": [purpose], "buyer_kinds": kinds, "price_not_below_fen": plan["price_fen"]}
    hospital.post(f"/v1/listings/{listing}/answer-rule", {"automatic": rule, "reviews": []})
    request = _request(year, sale, purpose)
    year.almanac.work()
    return str(year[sale.buyer].get(f"/v1/requests/{request}")["agreement_id"])


HOW: dict[str, Callable[[Year, Sale, str], str]] = {
    "asked": _asked,
    "countered": _countered,
    "offered": _offered,
    "ruled": _ruled,
}
