"""Each department, and its annotators, see what the assets that they made have brought them."""

from __future__ import annotations

from marketplace.settlement import overview
from tests.exchange.parts import certified, listed
from tests.house import House
from tests.settlement.parts import PRICE_FEN, all_shares, billed, choose, pay, sold

DEAR = {"kind": "one_off", "price_fen": 4 * PRICE_FEN}


def seen(house: House, who: str = "hospital") -> dict[tuple[str, str], tuple[int, int]]:
    with house.runtime.database.reading() as db:
        found = overview.of_departments(db, house.cast[who].actor)
    return {(one.department, one.role): (one.lines, one.amount_fen) for one in found}


def test_a_department_gets_the_shares_of_its_own_assets_and_reads_them_by_its_name(house: House) -> None:
    choose(house, "full-waterfall-v1", operator=house.cast["operator"].id)
    assert seen(house) == {}
    assets = {}
    for department, times in (("放射科", 2), ("骨科", 1)):
        version = certified(house, department=department)
        assets[version.asset_id] = department
        for _ in range(times):
            sold(house, listing=listed(house, version, price_plan=DEAR))
    pay(house, billed(house))
    expected = dict.fromkeys(
        [(name, role) for name in ("放射科", "骨科") for role in ("department", "annotators")], (0, 0)
    )
    for one in all_shares(house):
        if one.role in ("department", "annotators"):
            key = assets[one.asset_id or ""], one.role
            lines, fen = expected[key]
            expected[key] = lines + 1, fen + one.amount_fen
    assert seen(house) == expected
    assert expected["放射科", "department"] > expected["骨科", "department"] > (0, 0)
    assert seen(house, "operator") == {}  # a share of others' sales is no department's
