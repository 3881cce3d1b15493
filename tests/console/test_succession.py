"""The page of a contract tells what followed it, by whom, why, and whose signature is missing."""

from __future__ import annotations

import pytest
from sqlmodel import select

from marketplace.assets.models import Asset
from marketplace.client.api import in_process
from marketplace.main import create_app
from tests.console.reading import Page
from tests.house import House
from tests.negotiation.parts import finalized
from tests.negotiation.succession.parts import amended, declare_resumption, sign_all, suspend

SAID = {
    "en": (
        ["Notice of suspension", "breach of contract", "in effect, signature due", "nobody yet"],
        ["Notice of resumption", "signed", "Amendment", "in force", "9 uses"],
        "Follows an earlier contract",
    ),
    "zh": (
        ["中止使用通知", "违反合同", "已生效，待补签", "尚无"],
        ["恢复使用通知", "已签署", "变更合约", "已生效", "9"],
        "承接此前的合约",
    ),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_of_a_contract_shows_its_chain_with_reasons_and_signatures(house: House, language: str) -> None:
    first = finalized(house)
    with house.arrange() as db:
        for asset in db.exec(select(Asset)):
            asset.is_example = True
            db.add(asset)
    stopped, went_on, follows = SAID[language]
    with in_process(create_app(house.runtime), house.runtime.settings.public_url) as http:

        def page(name: str) -> Page:
            answer = http.get(f"/agreements/{name}", params={"lang": language})
            assert answer.status_code == 200, answer.text[:300]
            return Page(answer.text)

        suspend(house, first.id, "hospital")
        assert [one for one in stopped if one not in page(first.id).text] == []
        declare_resumption(house, first.id, "hospital")
        sign_all(house, first.id, "hospital")
        second = amended(house, first.id, parameters={"max_uses": 9})
        shown = page(first.id)
        assert [one for one in went_on if one not in shown.text] == []
        assert f"/agreements/{second.id}?lang={language}" in shown.addresses
        later = page(second.id)
        assert follows in later.text
        assert f"/agreements/{first.id}?lang={language}" in later.addresses
