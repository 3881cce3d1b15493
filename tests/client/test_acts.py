"""The client declares and signs in one go, and signs nothing that it did not declare; so does the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from marketplace.cli import app
from marketplace.client import acts, agreements
from marketplace.client.api import ApiClient, NotTheDocument, in_process
from marketplace.client.problem import ProblemError
from marketplace.commands import party
from marketplace.main import create_app
from tests.house import House
from tests.negotiation.parts import drafted, finalized
from tests.negotiation.rounds.parts import set_rule
from tests.negotiation.succession.parts import BREACH, agreement_of, chain, declare_resumption, suspend


@pytest.fixture
def clients(house: House) -> Iterator[dict[str, ApiClient]]:
    url = house.runtime.settings.public_url
    with in_process(create_app(house.runtime), url) as http:
        yield {
            name: ApiClient(http, url, house.cast[name].id, house.cast[name].key, house.clock, person="p-1")
            for name in ("hospital", "pharma")
        }


def test_a_side_stops_lets_go_on_and_ends_each_in_one_go(house: House, clients: dict[str, ApiClient]) -> None:
    agreement = finalized(house)
    for kind, state in (("suspension", "suspended"), ("resumption", "finalized"), ("termination", "terminated")):
        answer = acts.declare(clients["hospital"], agreement.id, kind, reason="security_incident")
        assert (answer["state"], answer["unsigned_acts"]) == (state, [])
    shown = chain(house, agreement.id)
    assert [(one.kind, one.state) for one in shown.acts] == [
        ("suspension", "signed"),
        ("resumption", "signed"),
        ("termination", "signed"),
    ]


def test_what_waits_and_was_not_asked_for_is_not_signed_with_it(house: House, clients: dict[str, ApiClient]) -> None:
    agreement = finalized(house)
    suspend(house, agreement.id, "hospital")
    declare_resumption(house, agreement.id, "hospital")
    answer = acts.declare(clients["hospital"], agreement.id, "suspension", reason=BREACH.reason)
    assert answer["state"] == "suspended"
    assert [one["kind"] for one in answer["unsigned_acts"]] == ["resumption"]


def test_only_the_act_that_was_declared_or_named_is_signed(
    house: House, clients: dict[str, ApiClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    agreement, hospital, served = finalized(house), clients["hospital"], ApiClient.get
    suspend(house, agreement.id, "hospital")
    (left,) = acts.unsigned_acts(hospital, agreement.id)
    with pytest.raises(NotTheDocument, match="than you declared"):
        acts.declare(hospital, agreement.id, "suspension", reason="another_reason")
    answer = acts.declare(hospital, agreement.id, "termination", reason="security_incident")
    assert [one["kind"] for one in answer["unsigned_acts"]] == ["suspension"], "an older act is not signed with it"
    assert [one.state for one in chain(house, agreement.id).acts] == ["unsigned", "signed"]

    for names in ([], ["ab" * 32], [left["document"], "ab" * 32]):
        with pytest.raises(acts.NoSuchAct, match=left["document"]):
            acts.sign_acts(hospital, agreement.id, names)

    def lying(client: ApiClient, path: str, *args: Any, **named: Any) -> Any:
        found = served(client, path, *args, **named)
        return found | {"unsigned_acts": [left | {"kind": "resumption"}]} if path.endswith(agreement.id) else found

    with monkeypatch.context() as patched:
        patched.setattr(ApiClient, "get", lying)
        with pytest.raises(NotTheDocument):
            acts.sign_acts(hospital, agreement.id, [left["document"]])
    assert chain(house, agreement.id).acts[0].state == "unsigned"
    assert acts.sign_acts(hospital, agreement.id, [left["document"]])["unsigned_acts"] == []


def test_an_act_that_says_something_else_is_not_signed(
    house: House, clients: dict[str, ApiClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    agreement = finalized(house)
    hospital, served = clients["hospital"], ApiClient.get_bytes

    def forged(client: ApiClient, path: str, params: Any = None) -> bytes:
        return served(client, path, params).replace(b'"act":"suspension"', b'"act":"termination"')

    monkeypatch.setattr(ApiClient, "get_bytes", forged)
    with pytest.raises(NotTheDocument):
        acts.declare(hospital, agreement.id, "suspension", reason="security_incident")
    assert agreement_of(house, agreement.id).state == "suspended"
    assert chain(house, agreement.id).acts[0].state == "unsigned"


def test_an_amendment_is_signed_by_who_proposes_it_and_then_by_the_other_side(
    house: House, clients: dict[str, ApiClient]
) -> None:
    agreement = finalized(house)
    proposed = acts.propose(
        clients["pharma"], agreement.id, "amendment", reason="more_uses_needed", parameters={"max_uses": 9}
    )
    assert (proposed["state"], [one["signer"] for one in proposed["signatures"]]) == ("drafted", ["prt_pharma"])
    signed = clients["hospital"].sign(proposed["document"], "agreement")
    answer = clients["hospital"].post(f"/v1/agreements/{proposed['id']}/signature", signed)
    assert answer["state"] == "finalized"
    assert agreement_of(house, agreement.id).state == "superseded"


def test_an_assignment_is_refused_by_the_terms_or_by_a_signed_act(house: House, clients: dict[str, ApiClient]) -> None:
    agreement = finalized(house)
    at = f"/v1/agreements/{agreement.id}/assignment"
    with pytest.raises(ProblemError):
        clients["hospital"].post(at, {"assignee": "prt_insurer"})
    answer = clients["pharma"].post(at, {"assignee": "prt_insurer"})
    assert (answer["state"], answer["by"], answer["reason"]) == ("refused", "terms", "assignment_prohibited")
    assert "new negotiation" in answer["consent"]
    with pytest.raises(ProblemError):
        acts.declare(clients["hospital"], agreement.id, "assignment_refusal", reason="identity_in_doubt")


def test_parameters_are_read_as_they_are_typed() -> None:
    said = ["max_uses=9", 'purposes=["model_training"]', "max_bytes=12a"]
    assert acts.read_parameters(said) == {"max_uses": 9, "purposes": ["model_training"], "max_bytes": "12a"}
    with pytest.raises(acts.NotAParameter):
        acts.read_parameters(["max_uses"])


def test_the_command_line_declares_proposes_and_shows(
    house: House, clients: dict[str, ApiClient], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def here(url: str, folder: Path) -> Iterator[ApiClient]:
        yield clients[folder.name]

    monkeypatch.setattr(party, "client_of", here)
    agreement = finalized(house)

    def run(who: str, *words: str) -> dict[str, Any]:
        done = CliRunner().invoke(app, ["agreement", *words, "--as", str(tmp_path / who), "--json"])
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.output)
        return found

    why = ("--reason", "security_incident")
    assert run("hospital", "suspend", agreement.id, *why)["state"] == "suspended"
    assert run("hospital", "resume", agreement.id, *why)["state"] == "finalized"
    successor = run("pharma", "amend", agreement.id, *why, "--set", "max_uses=9")
    assert run("hospital", "sign", successor["id"])["state"] == "finalized"
    assert run("pharma", "terminate", successor["id"], *why)["state"] == "terminated"
    suspended = finalized(house)
    suspend(house, suspended.id, "hospital")
    (left,) = acts.unsigned_acts(clients["hospital"], suspended.id)
    assert run("hospital", "sign-acts", suspended.id, "--document", left["document"])["unsigned_acts"] == []
    shown = run("pharma", "succession", agreement.id)
    assert [one["kind"] for one in shown["acts"]] == ["suspension", "resumption"]
    assert [one["state"] for one in shown["successors"]] == ["in_force"]


def test_offices_approve_or_return_a_successor_over_http_and_on_the_command_line(
    house: House, clients: dict[str, ApiClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = finalized(house)
    set_rule(house, first.listing_id, reviews=[{"office": "management"}])
    hospital, pharma = clients["hospital"], clients["pharma"]

    @contextmanager
    def connected(*_: Any) -> Iterator[ApiClient]:
        yield hospital

    monkeypatch.setattr(party, "client_of", connected)
    more = {"reason": "more_uses_needed", "parameters": {"max_uses": 10}}
    second = acts.propose(hospital, first.id, "amendment", **more)
    assert (second["state"], second["signatures"]) == ("drafted", [])
    run = CliRunner()
    ended = run.invoke(app, ["agreement", "return", second["id"], "--reason", "data_error", "--as", "x", "--json"])
    assert (ended.exit_code, json.loads(ended.output)["state"]) == (0, "returned")
    third = acts.propose(hospital, first.id, "amendment", **more)
    said = run.invoke(app, ["agreement", "review", third["id"], "management", "--as", "x", "--json"])
    assert json.loads(said.output)["missing"] == {}
    for client in (hospital, pharma):
        signed = client.post(f"/v1/agreements/{third['id']}/signature", client.sign(third["document"], "agreement"))
    assert signed["state"] == "finalized"
    assert agreement_of(house, first.id).state == "superseded"


def test_no_agreement_is_signed_but_the_one_that_was_meant_and_as_it_was_proposed(
    house: House, clients: dict[str, ApiClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    pharma, hospital, served, posted = clients["pharma"], clients["hospital"], ApiClient.get, ApiClient.post
    meant, other = drafted(house), finalized(house)

    def another(client: ApiClient, path: str, *args: Any, **named: Any) -> Any:
        answer = served(client, path, *args, **named)
        return answer | {"document": other.document} if path.endswith(meant.id) else answer

    with monkeypatch.context() as lying:
        lying.setattr(ApiClient, "get", another)
        with pytest.raises(NotTheDocument):
            agreements.sign_agreement(pharma, meant.id)
    assert pharma.get(f"/v1/agreements/{meant.id}")["signatures"] == []

    def dearer(client: ApiClient, path: str, body: Any) -> Any:
        more = {"parameters": {"max_uses": 11}} if path.endswith("/amendment") else {}
        return posted(client, path, body | more)

    with monkeypatch.context() as lying:
        lying.setattr(ApiClient, "post", dearer)
        with pytest.raises(NotTheDocument, match="says something else"):
            acts.propose(hospital, other.id, "amendment", reason="more_uses_needed", parameters={"max_uses": 10})
    (left,) = chain(house, other.id).successors
    assert (left.state, left.signatures) == ("proposed", [])
    with pytest.raises(NotTheDocument):
        agreements.sign_agreement(pharma, left.agreement_id, document=other.document)
    assert agreements.sign_agreement(pharma, meant.id, document=meant.document)["signatures"] != []
