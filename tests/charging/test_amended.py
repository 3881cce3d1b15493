"""An amendment goes on with the counters of what it amended: nothing that was had once is had or charged again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from marketplace.charging import queries, service
from marketplace.charging.models import MonthlyCharge
from marketplace.charging.preview import preview_of_agreement
from marketplace.charging.recheck import recheck
from marketplace.charging.rules import Used
from marketplace.exchange.pricing import PlanDoesNotFit
from marketplace.negotiation import queries as negotiation
from marketplace.settlement.billing import close_minimums
from tests.charging.parts import metered
from tests.exchange.parts import listed
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import amend, amended
from tests.settlement.test_results import PLAN as RESULTS

PLAN = {"kind": "per_use", "price_fen": 1000}


def bought(house: House, **plan: Any) -> str:
    return finalized(house, listing=listed(house, price_plan=PLAN | plan)).id


def changed(house: House, agreement: str, **plan: Any) -> str:
    return amended(house, agreement, price_plan=PLAN | plan).id


def use(house: House, agreement: str, number: int, studies: str = "") -> int:
    """What a further use costs, as it was said just before.  studies: one letter each."""
    with house.db() as db:
        found, now = negotiation.agreement(db, agreement), house.clock.now()
        said = preview_of_agreement(db, found, len(studies) or 1, now).charge.amount_fen
        used = Used(f"trf_{number}", 1, 1, 0, frozenset(studies))
        plan = queries.signed_plan(db, found)
        cost = service.charge(db, house.cast["pharma"].actor, found, plan, used, now)
    assert studies or cost == said
    return cost


def findings(house: House) -> list[str]:
    with house.runtime.database.reading() as db:
        return [f"{one.kind} {one.table}" for one in recheck(db)]


def test_cap_and_trial_are_not_had_twice(house: House) -> None:
    first = bought(house, monthly_cap_fen=2500, trial_units=1)
    assert [use(house, first, number) for number in range(3)] == [0, 1000, 1000]
    second = changed(house, first, monthly_cap_fen=2600, trial_units=1)
    assert [use(house, second, number) for number in (3, 4)] == [600, 0]
    third = changed(house, second, monthly_cap_fen=2000)
    assert use(house, third, 5) == 0
    fourth = changed(house, third, monthly_cap_fen=3000)
    assert use(house, fourth, 6) == 400
    assert findings(house) == []


def test_tiers_go_on_and_what_was_used_before_is_not_priced_again(house: House) -> None:
    tiers = [{"above": 2, "price_fen": 600}]
    first = bought(house, tiers=tiers)
    assert [use(house, first, number) for number in range(2)] == [1000, 1000]
    second = changed(house, first, price_fen=5000, tiers=tiers)
    assert use(house, second, 2) == 600
    third = changed(house, second, price_fen=3000, monthly_cap_fen=90_000)
    assert use(house, third, 3) == 3000
    assert findings(house) == []


def test_a_case_is_not_paid_again(house: House) -> None:
    first = bought(house, kind="per_case")
    assert use(house, first, 1, "ab") == 2000
    second = changed(house, first, kind="per_case", price_fen=1500)
    assert use(house, second, 2, "abc") == 1500
    assert findings(house) == []


def test_a_month_has_one_minimum_of_the_plan_in_force_at_its_end(house: House) -> None:
    first = bought(house, monthly_minimum_fen=3000)
    assert use(house, first, 1) == 1000
    house.clock.advance(timedelta(days=10))
    second = changed(house, first, monthly_minimum_fen=6000)
    assert use(house, second, 2) == 1000
    house.clock.advance(timedelta(days=25))
    due = 6000 * 22 // 30 - 2000  # in force on 22 days of September
    for expected in (due, 0):
        assert close_minimums(house.runtime, house.clock.now()) == expected
    assert metered(house)[f"use.minimum:{first}:2026-09"] == due
    assert findings(house) == []


def test_an_amendment_counts_what_was_counted(house: House) -> None:
    first = bought(house, kind="per_case")
    with pytest.raises(PlanDoesNotFit, match="counts what the agreement counted"):
        amend(house, first, "pharma", price_plan={"kind": "per_gb", "price_fen": 1})
    assert changed(house, first, kind="per_case", price_fen=1)


def test_an_agreement_paid_for_its_result_is_not_amended(house: House) -> None:
    first = finalized(house, listing=listed(house, price_plan=RESULTS)).id
    for changes in ({"price_plan": RESULTS | {"price_fen": 30_000_000}}, {"parameters": {"max_uses": 9}}):
        with pytest.raises(PlanDoesNotFit, match="not amended"):
            amend(house, first, "pharma", **changes)


def test_what_a_plain_plan_had_counts_under_the_cap_and_the_tiers_of_its_amendment(house: House) -> None:
    first = bought(house)
    assert [use(house, first, number) for number in range(2)] == [1000, 1000]
    second = changed(house, first, monthly_cap_fen=2500, tiers=[{"above": 2, "price_fen": 700}])
    assert [use(house, second, number) for number in (2, 3)] == [500, 0]
    third = changed(house, second)
    assert use(house, third, 4) == 1000
    fourth = changed(house, third, monthly_cap_fen=3800)
    assert [use(house, fourth, number) for number in (5, 6)] == [300, 0]
    assert findings(house) == []


def test_what_a_plain_plan_had_counts_towards_the_minimum_of_its_amendment(house: House) -> None:
    first = bought(house)
    assert [use(house, first, number) for number in range(4)] == [1000] * 4
    second = changed(house, first, monthly_minimum_fen=9000)
    assert use(house, second, 5) == 1000
    house.clock.advance(timedelta(days=35))
    due = 9000 * 22 // 30 - 5000  # in force on 22 days of September
    for expected in (due, 0):
        assert close_minimums(house.runtime, house.clock.now()) == expected
    assert metered(house)[f"use.minimum:{first}:2026-09"] == due
    assert findings(house) == []


def test_the_database_itself_lets_no_more_be_charged_than_a_plain_plan_left_of_the_cap(house: House) -> None:
    first = bought(house)
    assert [use(house, first, number) for number in range(2)] == [1000, 1000]
    second = changed(house, first, monthly_cap_fen=2500)
    assert use(house, second, 2) == 500
    with pytest.raises(IntegrityError, match="within_cap"), house.db() as db:
        db.exec(update(MonthlyCharge).values(charged_fen=501))
    assert findings(house) == []
