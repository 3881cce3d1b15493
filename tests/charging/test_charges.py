"""A use is charged by the signed plan and the month's counter: never above the cap, the same as its preview."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from marketplace.audit.entry import Tag
from marketplace.charging import queries, rules, service
from marketplace.charging.models import ChargedStudy, MonthlyCharge
from marketplace.charging.preview import preview, preview_of_agreement
from marketplace.charging.recheck import recheck
from marketplace.exchange.pricing import Month, rate_of, read_plan
from marketplace.negotiation import queries as negotiation
from tests.charging.parts import agreed_beside, agreed_on, metered, use
from tests.house import House, open_house
from tests.transfer.doors import entries


def asked(house: House, agreement: str, quantity: int) -> Any:
    with house.runtime.database.reading() as db:
        return preview_of_agreement(db, negotiation.agreement(db, agreement), quantity, house.clock.now())


def findings(house: House) -> list[str]:
    with house.runtime.database.reading() as db:
        return [f"{one.kind} {one.table}" for one in recheck(db)]


def test_a_plain_price_per_use_needs_no_counter(house: House) -> None:
    agreement = agreed_on(house, {"kind": "per_use", "price_fen": 700})
    assert [use(house, agreement, number) for number in range(2)] == [700, 700]
    assert metered(house) == {"use.transfer:trf_0": 700, "use.transfer:trf_1": 700}
    with house.db() as db:
        assert queries.months(db, agreement) == []


def test_tiers_trial_and_cap_follow_the_month_and_the_entries_tell_how(house: House) -> None:
    plan = {"kind": "per_use", "price_fen": 1000, "tiers": [{"above": 2, "price_fen": 600}]}
    agreement = agreed_on(house, plan | {"trial_units": 1, "monthly_cap_fen": 2900})
    assert [use(house, agreement, number) for number in range(6)] == [0, 1000, 1000, 600, 300, 0]
    with house.db() as db:
        assert queries.month(db, agreement, "2026-09") == Month(5, 2900, 1)
    told = [entry["facts"] for entry in entries(house, Tag.USE_PRICED)]
    assert [(one["quanta"], one["free"], one["amount_fen"], one["charged_fen"], one["capped"]) for one in told] == [
        ("1", "1", 0, 0, False),
        ("1", "0", 1000, 1000, False),
        ("1", "0", 1000, 2000, False),
        ("1", "0", 600, 2600, False),
        ("1", "0", 300, 2900, True),
        ("1", "0", 0, 2900, True),
    ]
    assert sum(metered(house).values()) == 2900
    assert findings(house) == []


def test_a_new_month_begins_at_midnight_in_china_but_the_trial_is_over(house: House) -> None:
    agreement = agreed_on(house, {"kind": "per_use", "price_fen": 1000, "trial_units": 1, "monthly_cap_fen": 1000})
    assert [use(house, agreement, number) for number in range(3)] == [0, 1000, 0]
    house.clock.advance_to(datetime(2026, 9, 30, 15, 59, 59, tzinfo=UTC))
    assert use(house, agreement, 3) == 0
    house.clock.advance(timedelta(seconds=1))
    assert use(house, agreement, 4) == 1000
    with house.db() as db:
        assert [one.month for one in queries.months(db, agreement)] == ["2026-09", "2026-10"]


def test_a_case_is_paid_once_and_a_scan_once_a_month(house: House) -> None:
    case = agreed_on(house, {"kind": "per_case", "price_fen": 5500})
    amounts = [use(house, case, number, studies=studies) for number, studies in enumerate(["ab", "abc", "c"])]
    assert amounts == [11_000, 5500, 0]
    scan = agreed_beside(house, "agr_scan", {"kind": "per_scan", "price_fen": 3000})
    assert use(house, scan, 10, studies="ab") == 6000
    assert use(house, scan, 11, studies="ab") == 0
    house.clock.advance(timedelta(days=31))
    assert use(house, scan, 12, studies="a") == 3000
    assert use(house, case, 13, studies="a") == 0
    assert findings(house) == []
    assert metered(house)["use.metered:trf_1:1"] == 5500


def test_bytes_are_charged_leg_by_leg_and_the_use_itself_at_zero(house: House) -> None:
    agreement = agreed_on(house, {"kind": "hybrid", "access_fen": 5, "price_fen": 1000, "measure": "gigabyte"})
    amounts = [use(house, agreement, number, uses=1 - number, size=1_500_000_000) for number in range(2)]
    assert amounts == [1500, 1500]
    assert metered(house) == {"use.metered:trf_0:1": 1500, "use.metered:trf_1:1": 1500}


def test_a_monthly_minimum_is_charged_once_when_the_month_is_over(house: House) -> None:
    agreement = agreed_on(house, {"kind": "per_use", "price_fen": 1000, "monthly_minimum_fen": 3000})
    assert use(house, agreement, 1) == 1000
    with house.db() as db:
        assert service.close_month(db, negotiation.agreement(db, agreement), "2026-09", house.clock.now()) == 0
    house.clock.advance(timedelta(days=30))
    for expected in (2000, 0):
        with house.db() as db:
            found = negotiation.agreement(db, agreement)
            assert service.close_month(db, found, "2026-09", house.clock.now()) == expected
    assert metered(house)[f"use.minimum:{agreement}:2026-09"] == 2000
    assert findings(house) == []


def test_the_database_itself_holds_the_cap_up(house: House) -> None:
    agreement = agreed_on(house, {"kind": "per_use", "price_fen": 1000, "monthly_cap_fen": 1500})
    use(house, agreement, 1)
    with house.arrange() as db:
        row = db.exec(select(MonthlyCharge)).one()
        row.charged_fen = 1501
        db.add(row)
        with pytest.raises(IntegrityError):
            db.flush()
        db.rollback()


def test_a_changed_counter_and_an_added_study_are_found(house: House) -> None:
    agreement = agreed_on(house, {"kind": "per_case", "price_fen": 1})
    use(house, agreement, 1, studies="ab")
    with house.arrange() as db:
        row = db.exec(select(MonthlyCharge)).one()
        row.charged_fen -= 1
        db.add(row)
        db.add(ChargedStudy(agreement_id=agreement, month="", study="z"))
    assert findings(house) == ["edited monthly_charge", "edited charged_study"]


def test_no_plan_charges_above_its_cap_however_many_are_charged_at_once(tmp_path: Path, either_url: str) -> None:
    with open_house(tmp_path / "house", either_url) as house:
        agreement = agreed_on(house, {"kind": "per_use", "price_fen": 700, "monthly_cap_fen": 5000})
        with ThreadPoolExecutor(8) as pool:
            amounts = list(pool.map(lambda number: use(house, agreement, number), range(24)))
        assert sum(amounts) == sum(metered(house).values()) == 5000
        assert sorted(amounts, reverse=True) == [700] * 7 + [100] + [0] * 16
        with house.db() as db:
            assert queries.month(db, agreement, "2026-09") == Month(24, 5000, 0)


OPTIONS = st.fixed_dictionaries(
    {"price_fen": st.integers(0, 2000)},
    optional={
        "tiers": st.just([{"above": 2, "price_fen": 300}, {"above": 5, "price_fen": 100}]),
        "monthly_cap_fen": st.integers(0, 9000),
        "trial_units": st.integers(1, 3),
    },
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=OPTIONS,
    kind=st.sampled_from(["per_use", "per_case", "per_gb"]),
    volumes=st.lists(st.integers(0, 4), min_size=1, max_size=4),
)
def test_what_was_previewed_is_what_is_charged(
    house: House, plan: dict[str, Any], kind: str, volumes: list[int]
) -> None:
    known = _made(house)
    plan = {"kind": kind, **plan}
    made = agreed_beside(house, f"agr_{len(known)}x", plan) if known else agreed_on(house, plan)
    for number, volume in enumerate(volumes):
        studies = "".join(chr(0x4E00 + 10 * number + place) for place in range(volume))
        quantity = {"per_use": 1, "per_case": volume, "per_gb": volume * 300_000_000}[kind]
        said = asked(house, made, quantity)
        stamp = hash((made, number))
        charged = use(house, made, stamp, size=volume * 300_000_000, studies=studies)
        assert charged == said.charge.amount_fen
        assert said.split.net + said.split.vat == charged
        assert asked(house, made, 0).before.charged_fen <= plan.get("monthly_cap_fen", 10**12)


def _made(house: House) -> list[str]:
    with house.runtime.database.reading() as db:
        return [one.id for one in negotiation.agreements_of(db, house.cast["auditor"].actor).rows]


def test_a_preview_shows_taxes_access_and_the_fee_of_the_exchange(house: House) -> None:
    found = preview({"kind": "per_use", "price_fen": 10_600, "access_fen": 500}, Month(), 1, house.clock.now())
    assert (found.charge.amount_fen, found.split.net, found.split.vat) == (10_600, 10_000, 600)
    assert (found.access_fen, found.buyer_fee_fen, found.cap_left_fen) == (500, 998_000, None)
    free = preview({"kind": "one_off", "price_fen": 500}, Month(), 3, house.clock.now())
    assert (free.charge.amount_fen, free.access_fen, free.rate) == (0, 500, None)


def test_days_of_a_month_are_days_in_china() -> None:
    begins = datetime(2026, 9, 29, 16, 0, tzinfo=UTC)  # midnight of the 30th in China
    assert rules.days_in_force("2026-09", begins, begins + timedelta(days=9)) == (1, 30)
    assert rules.days_in_force("2026-10", begins, begins + timedelta(days=9)) == (8, 31)
    assert rules.days_in_force("2026-11", begins, begins + timedelta(days=9)) == (0, 30)
    assert rules.days_in_force("2026-02", begins - timedelta(days=900), begins) == (28, 28)
    found = rate_of(read_plan({"kind": "compute_hour", "price_fen": 1}))
    assert found is not None
    assert rules.quanta(found, rules.Used("trf", 1, 1, 5), 0) == 0
