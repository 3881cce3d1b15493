"""The console's pages as a matrix of pages and identities: a desk is its owner's, as the API's answers are (G18)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from marketplace.assets.models import Asset
from marketplace.console.desks.routes import routes
from marketplace.participants.models import Participant
from tests.architecture.authorization import PAGES
from tests.hostile.story import IDENTITIES, MARKERS, Story, open_story
from tests.house import unrecorded

HTML = {"accept": "text/html"}
# What each page says of the party that it is about; no refusal may hold it.
NAMES = ("First People", "Kangyuan", "Example chest CT", "INV-20")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The story of the matrix, first with invented parties, then with the same as real ones."""
    with open_story(tmp_path_factory.mktemp("pages") / "house") as opened:
        for name in ("owner", "buyer", "exchange", "firm"):
            opened.ids[f"{name}_id"] = opened.house.cast[str(IDENTITIES[name])].id
        yield opened


@pytest.fixture(scope="module")
def invented(story: Story) -> dict[str, int]:
    """Page -> what somebody without credentials gets while every party is invented."""
    return {page: read(story, "anonymous", address(story, page)).status_code for page in PAGES}


@pytest.fixture(scope="module")
def real(story: Story, invented: dict[str, int]) -> Story:
    assert invented
    with unrecorded(story.house.runtime) as db:
        db.exec(update(Participant).values(is_example=False))
        db.exec(update(Asset).values(is_example=False))
    return story


def address(story: Story, page: str) -> str:
    return page.format_map(story.ids)


def read(story: Story, identity: str, path: str) -> Any:
    client = story.clients[identity]
    if client is None:
        return story.http.get(story.house.runtime.settings.public_url + path, headers=HTML)
    answer = client._open("GET", path, headers=HTML)
    try:
        answer.read()
    finally:
        answer.close()
    return answer


def test_every_desk_page_has_a_row_and_every_row_a_page() -> None:
    served = {re.sub(r"\{\w+\}", "{}", getattr(one, "path", "")) for one in routes.routes}
    rows = {re.sub(r"\{\w+\}", "{}", page) for page in PAGES}
    assert served == rows, "say in authorization.py who may"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_about_invented_parties_is_open_to_everybody(invented: dict[str, int], page: str) -> None:
    assert invented[page] == 200


@pytest.mark.parametrize("page", PAGES)
def test_a_page_about_real_parties_is_for_those_whom_its_row_names(real: Story, page: str) -> None:
    for identity in IDENTITIES:
        answer = read(real, identity, address(real, page))
        refused = PAGES[page].refusal(identity)
        # Without credentials nothing is asked for, so a page that is not there for everybody is not there.
        expected = 200 if refused is None else 404
        assert answer.status_code == expected, (identity, answer.status_code)
        for marker, readers in MARKERS.items():
            assert identity in readers or marker not in answer.text, (identity, marker)
        if refused is not None:
            assert not [one for one in NAMES if one in answer.text], identity


@pytest.mark.parametrize("page", [one for one in PAGES if "{" in one])
def test_a_page_that_is_hidden_looks_like_one_that_is_not_there(real: Story, page: str) -> None:
    real_address = address(real, page)
    absent = "/".join(part + "0" if "_" in part else part for part in real_address.split("/"))
    for identity in ("anonymous", "other_provider", "other_buyer"):
        if PAGES[page].refusal(identity) is not None:
            hidden, missing = (read(real, identity, one) for one in (real_address, absent))
            assert missing.status_code == 404
            assert hidden.text == missing.text, identity


def test_the_list_of_desks_names_the_readers_own_and_an_auditor_reads_all(real: Story) -> None:
    named = {who: real.house.cast[str(IDENTITIES[who])].id for who in ("owner", "buyer", "exchange")}
    for identity in ("anonymous", "owner", "buyer", "other_buyer", "auditor"):
        page = read(real, identity, "/participants").text
        seen = {who for who, participant in named.items() if f"/participants/{participant}/" in page}
        assert seen == (set(named) if identity == "auditor" else {identity} & set(named)), identity
