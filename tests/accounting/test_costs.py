"""Costs by what they are for, and beside what was to be expected; the worked table of the report by the engine."""

import pytest

from marketplace.accounting import costs
from marketplace.accounting.costs import Grouping
from marketplace.assets import queries as assets
from marketplace.assets import service as passport
from marketplace.costing.sheet import Asked, cost_sheet
from marketplace.main import ROUTERS
from tests.accounting.test_capital import capitalise, post_everything
from tests.costing.books import meter_event, post_all
from tests.exchange.parts import certified
from tests.legal.parts import registration
from tests.participants.small_market import open_market

STAGES = (("legal.opinion", "assessed"), ("registration.certificate", "certified"))


def make(house, scans, department="radiology"):
    """An asset whose three stages are metered and posted at the published tariffs."""
    with house.db() as db:
        form = registration(department=department)
        asset = passport.register(db, house.cast["hospital"].actor, form, house.clock.now())
        common = {"asset": asset.id, "now": house.clock.now()}
        events = [meter_event(db, "governance.scan", scans, key=f"g:{asset.id}", stage="governed", **common)]
        events += [meter_event(db, kind, key=f"{kind}:{asset.id}", stage=stage, **common) for kind, stage in STAGES]
        post_all(db, events, house.clock.now())
        return asset.id


@pytest.mark.parametrize(
    ("scans", "sunk_yuan", "per_scan_yuan"),
    [(200, 71_000, 355), (500, 87_500, 175), (1000, 115_000, 115), (5000, 335_000, 67), (20_000, 1_160_000, 58)],
)
def test_the_books_give_the_unit_costs_of_the_worked_table(house, scans, sunk_yuan, per_scan_yuan):
    asset_id = make(house, scans)
    with house.db() as db:
        sheet = cost_sheet(db, asset_id, Asked(prices=(10_000_000,)), house.clock.now())
        found = costs.estimate(db, assets.asset(db, asset_id), scans)
    assert (sheet.total_fen, sheet.unit_cost_fen) == (sunk_yuan * 100, per_scan_yuan * 100)
    assert (found.estimate_fen, found.actual_fen) == (sunk_yuan * 100, sunk_yuan * 100)


def test_an_estimate_shows_stage_by_stage_what_came_otherwise(house):
    asset_id = make(house, 1000)
    with house.db() as db:
        found = costs.estimate(db, assets.asset(db, asset_id), 800)
    assert {one.stage: one.variance_fen for one in found.lines} == {
        "governed": 1_100_000,
        "assessed": 0,
        "certified": 0,
    }


def test_costs_are_summed_by_asset_stage_and_department_for_who_bears_them(house):
    first, second = make(house, 1000), make(house, 200, "pathology")
    third = make(house, 10)
    hospital, auditor = house.cast["hospital"].actor, house.cast["auditor"].actor

    def by(grouping, actor=hospital):
        with house.runtime.database.reading() as db:
            return {one.name: one.cost_fen for one in costs.grouped(db, actor, grouping)}

    assert list(by(Grouping.ASSET)) == [first, second, third]
    assert by(Grouping.STAGE) == {"governed": 1210 * 5500, "assessed": 16_500_000, "certified": 1_500_000}
    assert by(Grouping.DEPARTMENT) == {"radiology": 11_500_000 + 6_055_000, "pathology": 7_100_000}
    assert by(Grouping.ASSET, auditor) == by(Grouping.ASSET)
    assert by(Grouping.ASSET, house.cast["pharma"].actor) == {}


def test_what_is_capitalised_still_shows_as_the_cost_it_was(house):
    version = certified(house)
    post_everything(house)
    hospital = house.cast["hospital"].actor
    with house.db() as db:
        before = costs.grouped(db, hospital, Grouping.VERSION), costs.grouped(db, hospital, Grouping.STAGE)
    capitalise(house, version.asset_id)
    with house.db() as db:
        assert (costs.grouped(db, hospital, Grouping.VERSION), costs.grouped(db, hospital, Grouping.STAGE)) == before


def test_costs_estimates_and_disclosure_are_read_over_http(house):
    asset_id = make(house, 1000)
    with open_market(house, ROUTERS) as market:
        hospital = market.client("hospital")
        assert hospital.get("/v1/costs", {"by": "department"}) == [{"name": "radiology", "cost_fen": 11_500_000}]
        found = hospital.get(f"/v1/assets/{asset_id}/costs/estimate", {"records": 1000})
        assert (found["estimate_fen"], found["actual_fen"]) == (11_500_000, 11_500_000)
        sheet = hospital.get("/v1/accounting/disclosure", {"from": "2026-09", "to": "2026-09"})
        assert (sheet["lines"], sheet["unsigned_months"]) == ([], ["2026-09"])
