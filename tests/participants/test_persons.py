"""A person who acts for a participant: named in the assertion, a commitment everywhere else."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import select

from marketplace.audit import routes as audit
from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry, Person
from marketplace.client.api import ApiClient
from marketplace.client.problem import ProblemError
from marketplace.plumbing.idempotency import KeptAnswer
from tests.house import open_house
from tests.participants.small_market import open_market

NAME = "Dr. 李雷 <li.lei@hospital.example>"
ANOTHER = "Han Meimei, registry office"


@pytest.fixture
def market(house):
    with open_market(house, (audit.routes,)) as opened:
        yield opened


@pytest.fixture
def either_market(either_url, tmp_path):
    with open_house(tmp_path / "house", either_url) as opened, open_market(opened, (audit.routes,)) as market:
        yield market


def acting(market, name, person):
    party = market.house.cast[name]
    return ApiClient(market.http, market.url, party.id, party.key, market.house.clock, person=person)


def rows(market, model):
    with market.house.runtime.database.reading() as db:
        return db.exec(select(model)).all()


def refusal(call, *args, **more):
    with pytest.raises(ProblemError) as caught:
        call(*args, **more)
    return caught.value


def commitment_of(market, name, person):
    return market.ask(market.assertion(market.house.cast[name], person=person)).json()["person"]


def act(market, name, person):
    """Do something that is recorded; returns its entry."""
    client = acting(market, name, person)
    refusal(client.post, "/v1/participants", {})  # unread: no entry
    refusal(client.post, f"/v1/participants/{market.house.cast['pharma'].id}/suspension", {"reason": "none of theirs"})
    return market.entries(Tag.REQUEST_REFUSED)[-1]


def test_an_entry_holds_the_salted_commitment_and_never_the_name(market):
    entry = act(market, "hospital", NAME)
    person = rows(market, Person)[0]
    assert (person.participant, person.identifier, len(person.salt)) == ("prt_hospital", NAME, 32)
    assert entry["actor"]["person"] == sha256(person.salt + b"prt_hospital" + NAME.encode()).hexdigest()
    assert all(NAME.encode() not in row.body and "李雷".encode() not in row.body for row in rows(market, Entry))
    assert all(NAME.encode() not in row.body for row in rows(market, KeptAnswer))


def test_the_token_refers_to_the_person_by_the_commitment(market):
    answer = market.ask(market.assertion(market.house.cast["hospital"], person=NAME)).json()
    claims = json.loads(urlsafe_b64decode(answer["access_token"].split(".")[1] + "=="))
    assert claims["person"] == answer["person"] == rows(market, Person)[0].commitment
    assert NAME not in str(claims)
    assert "person" not in market.ask(market.assertion(market.house.cast["hospital"])).json()


def test_the_same_person_is_one_commitment_and_others_are_others(market):
    first = act(market, "hospital", NAME)["actor"]["person"]
    market.house.clock.advance(timedelta(days=3))
    assert act(market, "hospital", NAME)["actor"]["person"] == first
    assert len({first, commitment_of(market, "hospital", ANOTHER), commitment_of(market, "law_firm", NAME)}) == 3
    assert act(market, "hospital", None)["actor"]["person"] is None
    named = [entry["actor"]["person"] for entry in market.entries(Tag.PERSON_NAMED)]
    assert len(named) == len(set(named)) == 3


@pytest.mark.parametrize("person", ["", "x" * 121, "tab\there", 7, ["a"], {"sub": "a"}, "\u202eevil"])
def test_what_is_no_short_name_is_refused_and_not_said_back(market, person):
    answer = market.ask(market.assertion(market.house.cast["hospital"], person=person))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert rows(market, Person) == []
    assert not isinstance(person, str) or not person or person not in answer.text


def test_own_participant_and_auditor_learn_who_it_was_and_that_is_recorded(market):
    commitment = act(market, "hospital", NAME)["actor"]["person"]
    for name in ("hospital", "auditor"):
        told = market.client(name).get(f"/v1/persons/{commitment}")
        assert told["identifier"] == NAME
        made = bytes.fromhex(told["salt"]) + told["participant"].encode() + told["identifier"].encode()
        assert sha256(made).hexdigest() == commitment
        entry = market.entries(Tag.PERSON_DISCLOSED)[-1]
        assert (entry["actor"]["participant"], entry["facts"]["person"]) == (f"prt_{name}", commitment)
    for name in ("pharma", "operator", "registrar"):
        assert refusal(market.client(name).get, f"/v1/persons/{commitment}").status == 404
    assert len(market.entries(Tag.PERSON_DISCLOSED)) == 2


def test_a_row_changed_from_outside_names_nobody(market):
    commitment = act(market, "hospital", NAME)["actor"]["person"]
    with market.house.runtime.database.engine.connect() as connection:
        connection.execute(update(Person).values(identifier=ANOTHER))
        connection.commit()
    assert refusal(market.client("auditor").get, f"/v1/persons/{commitment}").slug == "person-does-not-fit"
    assert market.entries(Tag.PERSON_DISCLOSED) == []


def test_a_list_of_persons_names_nobody_and_shows_only_own_ones(market):
    mine, theirs = (commitment_of(market, name, NAME) for name in ("hospital", "pharma"))
    assert [one["commitment"] for one in market.client("hospital").get("/v1/persons")["items"]] == [mine]
    page = market.client("auditor").get("/v1/persons", {"limit": 1})
    rest = market.client("auditor").get("/v1/persons", {"cursor": page["next"]})
    assert [one["commitment"] for one in page["items"] + rest["items"]] == sorted([mine, theirs])
    assert "李雷" not in str(page) + str(rest)


def test_erasure_waits_for_the_retention_clock_to_the_second(either_market):
    commitment, clock = act(either_market, "hospital", NAME)["actor"]["person"], either_market.house.clock
    clock.advance(timedelta(hours=23))
    last = clock.now()
    act(either_market, "hospital", NAME)
    end = last + timedelta(days=2192)
    path = f"/v1/persons/{commitment}/erasure"
    clock.advance_to(end - timedelta(seconds=1))
    early = refusal(either_market.client("hospital").post, path)
    assert (early.status, early.slug) == (409, "retention-runs")
    assert early.expected.startswith(end.strftime("%Y-%m-%dT%H:%M:%S"))
    assert rows(either_market, Person)[0].identifier == NAME
    clock.advance_to(end)
    assert either_market.client("hospital").post(path)["erased_at"] is not None
    row = rows(either_market, Person)[0]
    assert (row.commitment, row.identifier, row.salt) == (commitment, None, None)
    assert either_market.entries(Tag.PERSON_ERASED)[-1]["facts"] == {
        "participant": "prt_hospital",
        "person": commitment,
    }


def test_after_an_erasure_nothing_ties_the_commitment_and_the_entries_stay(market):
    entry = act(market, "hospital", NAME)
    token = market.ask(market.assertion(market.house.cast["hospital"], person=NAME)).json()
    market.client("hospital").get(f"/v1/persons/{token['person']}")
    market.house.clock.advance(timedelta(days=2193))
    market.client("hospital").post(f"/v1/persons/{token['person']}/erasure")
    for name in ("hospital", "auditor"):
        assert refusal(market.client(name).get, f"/v1/persons/{token['person']}").slug == "person-erased"
    again = refusal(market.client("hospital").post, f"/v1/persons/{token['person']}/erasure")
    assert again.slug == "person-erased"
    assert market.entries(Tag.REQUEST_REFUSED)[0] == entry
    database = market.house.runtime.database
    with database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    file = Path(database.url.database)
    held = file.read_bytes() + Path(f"{file}-wal").read_bytes()
    assert b"prt_hospital" in held
    assert NAME.encode() not in held
    assert commitment_of(market, "hospital", NAME) != token["person"]


def test_only_its_own_participant_erases_a_person(market):
    commitment = act(market, "hospital", NAME)["actor"]["person"]
    market.house.clock.advance(timedelta(days=3000))
    path = f"/v1/persons/{commitment}/erasure"
    assert refusal(market.client("auditor").post, path).slug == "not-your-person"
    assert refusal(market.client("pharma").post, path).status == 404
    assert rows(market, Person)[0].identifier == NAME


def test_a_token_for_an_erased_person_is_worth_nothing(market):
    answer = market.ask(market.assertion(market.house.cast["hospital"], person=NAME)).json()
    assert market.read(answer["access_token"], scheme="Bearer").status_code == 200
    with market.house.arrange() as db:
        person = db.get(Person, answer["person"])
        person.identifier = person.salt = None
        db.add(person)
    assert market.read(answer["access_token"], scheme="Bearer").status_code == 401


def test_a_person_stays_out_of_whatever_prints_an_actor(market):
    actor = market.house.cast["hospital"].actor.__class__("prt_hospital", frozenset(), person=NAME)
    assert NAME not in repr(actor)


def test_a_person_named_by_many_requests_at_once_has_one_commitment(either_market):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: commitment_of(either_market, "hospital", NAME), range(16)))
    assert len(set(answers)) == len(rows(either_market, Person)) == 1
    assert {entry["actor"]["person"] for entry in either_market.entries(Tag.PERSON_NAMED)} == set(answers)
