"""Hours and documents: stated under the provider's signature, metered once, on the cost sheet of their stage."""

from typing import Any

import pytest

from marketplace.accounting import costs, work
from marketplace.accounting.costs import Grouping
from marketplace.accounting.schemas import WorkStatementIn
from marketplace.accounting.work import AnotherAsset, StatedOtherwise
from marketplace.assets import service as passport
from marketplace.audit import documents
from marketplace.audit.entry import Tag
from marketplace.costing.sheet import Asked, cost_sheet
from marketplace.costing.tariffs import tariff_attributes, tariff_book
from marketplace.kernel.canonical import canonical
from marketplace.kernel.signing import BadSignature
from marketplace.ledger import queries as books
from marketplace.participants.signatures import UnknownKey
from tests.accounting.test_capital import post_everything
from tests.house import House
from tests.legal.parts import registration
from tests.transfer.doors import entries


def said(asset: str, **changes: Any) -> dict[str, Any]:
    plain = {"type": "work-statement", "v": 1, "asset": asset, "version": None, "kind": "governance.hour"}
    return plain | {"quantity": 40, "payee": None, "reference": "LABEL-1"} | changes


def state(house: House, asset: str, content: dict[str, Any], signer: str = "hospital", signed: Any = None) -> work.Work:
    jws = house.cast[signer].key.sign_detached(canonical(signed or content), typ="work-statement+jws")
    asked = WorkStatementIn.model_validate({"document": content, "jws": jws})
    with house.db() as db:
        found = work.assets.own_asset(db, house.cast["hospital"].actor, asset)
        return work.state_work(db, house.cast["hospital"].actor, found, asked, house.clock.now())


@pytest.fixture
def asset(house: House) -> str:
    with house.db() as db:
        form = registration(department="radiology")
        return passport.register(db, house.cast["hospital"].actor, form, house.clock.now()).id


def test_stated_work_is_a_cost_of_its_stage_and_department_once(house: House, asset: str) -> None:
    firm = house.cast["law_firm"].id
    first = state(house, asset, said(asset))
    assert state(house, asset, said(asset)) == first
    state(house, asset, said(asset, kind="legal.document", quantity=3, payee=firm))
    state(house, asset, said(asset, kind="registration.document", quantity=2))
    post_everything(house)
    with house.db() as db:
        sheet = cost_sheet(db, asset, Asked(prices=()), house.clock.now())
        by_department = costs.grouped(db, house.cast["hospital"].actor, Grouping.DEPARTMENT)
        earned = {one.account: one.amount_minor for one in books.balances(db, owner=firm)}
        assert documents.content(db, first.document) == said(asset)
        assert books.imbalance(db) == 0
    assert (sheet.stages["governed"], sheet.stages["assessed"], sheet.stages["certified"]) == (800_000, 60_000, 20_000)
    assert [(one.name, one.cost_fen) for one in by_department] == [("radiology", 880_000)]
    assert earned == {"receivable": 60_000, "revenue:service": -60_000}
    told = [one["facts"] for one in entries(house, Tag.COST_METERED) if one["facts"]["kind"] == "governance.hour"]
    assert [(one["quantity"], one["attributes"]["statement"]) for one in told] == [(40, first.document)]


def test_a_statement_that_is_not_the_providers_own_word_is_refused(house: House, asset: str) -> None:
    with pytest.raises(BadSignature):
        state(house, asset, said(asset), signed=said(asset, quantity=4))
    with pytest.raises(UnknownKey):
        state(house, asset, said(asset), signer="law_firm")
    with pytest.raises(AnotherAsset):
        state(house, asset, said("ast_2"))
    state(house, asset, said(asset))
    with pytest.raises(StatedOtherwise):
        state(house, asset, said(asset, quantity=41))
    assert len(entries(house, Tag.COST_METERED)) == 1


def test_a_tariff_may_ask_for_the_level_of_the_hospital(house: House) -> None:
    code, day = "91990000000000000A", house.clock.now()
    rates = {
        level: tariff_book().at("governance.scan", day, tariff_attributes("CT", "CHEST", code, level)).tariff.value
        for level in ("tertiary", "secondary", None)
    }
    assert rates == {"tertiary": 5500, "secondary": 4500, None: 5500}
