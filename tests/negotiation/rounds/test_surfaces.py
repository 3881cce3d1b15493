"""The rounds over the real application: HTTP, the command line, the console, and the rows against the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from marketplace.cli import app as command_line
from marketplace.client.api import ApiClient, NotTheDocument, in_process
from marketplace.client.problem import ProblemError
from marketplace.commands import negotiating
from marketplace.commands.recheck import recheck
from marketplace.console import rounds
from marketplace.console.reader import Reader
from marketplace.main import create_app
from marketplace.negotiation import queries
from tests.exchange.parts import PARAMETERS, PRICE_FEN, listed
from tests.house import House
from tests.negotiation.parts import approve, requested, sign
from tests.negotiation.rounds.parts import counter, offer, review, set_rule, work

CHEAPER = {"kind": "one_off", "price_fen": PRICE_FEN - 1_000_000}


@pytest.fixture
def clients(house: House) -> Iterator[dict[str, ApiClient]]:
    base = house.runtime.settings.public_url
    with in_process(create_app(house.runtime), base) as http:
        yield {
            name: ApiClient(http, base, house.cast[name].id, house.cast[name].key, house.clock, person="p-1")
            for name in ("pharma", "hospital", "ai_company")
        }


def test_a_negotiation_over_http(house: House, clients: dict[str, ApiClient]) -> None:
    buyer, provider = clients["pharma"], clients["hospital"]
    listing = listed(house)
    ask = {"listing": listing.id, "purpose": "model_training", "justification": "to find nodules"}
    asked = buyer.post("/v1/requests", ask | {"terms": {"price_plan": CHEAPER}})
    at = f"/v1/requests/{asked['id']}"
    assert (asked["round"], asked["next"], asked["reason_words"]["en"]) == (
        1, "provider", "The buyer asks for access.",
    )  # fmt: skip
    provider.post(f"/v1/listings/{listing.id}/answer-rule", {"reviews": [{"office": "management"}]})
    with pytest.raises(ProblemError, match="not approved yet"):
        provider.post(f"{at}/offer", {"term_days": 100})
    with pytest.raises(ProblemError, match="taken by"):
        buyer.post(f"{at}/reviews", {"office": "management", "terms": {"term_days": 100}})
    reviewed = provider.post(f"{at}/reviews", {"office": "management", "terms": {"term_days": 100}})
    assert (reviewed["approved"], reviewed["missing"]) == (["management"], {})
    offered = provider.post(f"{at}/offer", {"term_days": 100})
    with pytest.raises(ProblemError, match="purpose"):
        buyer.post(f"{at}/counter-offer", {"purpose": "education"})
    countered = buyer.post(f"{at}/counter-offer", {"term_days": 120})
    assert (countered["state"], countered["round"], countered["agreement_id"]) == ("REQUESTED", 3, None)
    provider.post(f"{at}/reviews", {"office": "management"})
    agreement = provider.post(f"{at}/approval", {})
    with pytest.raises(ProblemError, match="offered last"):
        buyer.post(f"{at}/acceptance", {"document": offered["document"]})
    assert buyer.post(f"{at}/acceptance", {"document": agreement["document"]})["state"] == "ACCEPTED"
    for party in (provider, buyer):
        signed = party.sign(agreement["document"], "agreement")
        answer = party.post(f"/v1/agreements/{agreement['id']}/signature", signed)
    assert (answer["state"], answer["negotiation"]) == ("finalized", "FINALIZED")
    told = buyer.get(f"{at}/rounds")
    assert [(one["round"], one["by"]) for one in told] == [(1, "buyer"), (2, "provider"), (3, "buyer")]
    assert any("100 days → 120 days" in change["en"] for change in told[2]["changes"])
    with pytest.raises(ProblemError):
        clients["ai_company"].get(f"{at}/rounds")


def test_a_provider_offers_unasked_and_drafts_to_sign_over_http(house: House, clients: dict[str, ApiClient]) -> None:
    buyer, provider = clients["pharma"], clients["hospital"]
    listing = listed(house)
    form = {"listing": listing.id, "buyer": house.cast["pharma"].id, "purpose": "model_training"}
    assert provider.post("/v1/direct-offers", form)["next"] == "buyer"
    with pytest.raises(ProblemError, match="purpose"):
        provider.post("/v1/direct-offers", form | {"purpose": "education"})
    ask = {"listing": listing.id, "purpose": "model_validation", "justification": "to find nodules"}
    request = buyer.post("/v1/requests", ask)
    draft = provider.post(f"/v1/requests/{request['id']}/draft", None)
    assert (draft["state"], draft["negotiation"]) == ("drafted", "REQUESTED")
    rule = {"automatic": {"purposes": ["statistics"], "buyer_kinds": ["pharma"], "price_not_below_fen": 1}}
    made = provider.post(f"/v1/listings/{listing.id}/answer-rule", rule)
    assert provider.get(f"/v1/listings/{listing.id}/answer-rule") == made


def test_the_command_line_negotiates(
    house: House, clients: dict[str, ApiClient], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def client_of(url: str, party: Path) -> Iterator[ApiClient]:
        yield clients[party.name]

    monkeypatch.setattr(negotiating, "client_of", client_of)

    def run(*words: str, who: str) -> Any:
        done = CliRunner().invoke(command_line, ["request", *words, "--as", who, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    def terms(**said: Any) -> tuple[str, str]:
        (tmp_path / "terms.json").write_text(json.dumps(said))
        return "--terms", str(tmp_path / "terms.json")

    listing = listed(house)
    set_rule(house, listing.id, reviews=[{"office": "management"}])
    asked = run("make", listing.id, "model_training", "a study", *terms(term_days=50), who="pharma")["id"]
    run("review", asked, "management", *terms(term_days=40), who="hospital")
    run("offer", asked, *terms(term_days=40), who="hospital")
    run("counter", asked, *terms(term_days=45), who="pharma")
    run("review", asked, "management", who="hospital")
    document = run("approve", asked, who="hospital")["document"]
    assert run("accept", asked, document, who="pharma")["state"] == "ACCEPTED"
    assert run("show", asked, who="pharma")["next"] == "provider"
    assert len(run("rounds", asked, who="hospital")) == 3
    spoken = CliRunner().invoke(command_line, ["request", "rounds", asked, "--as", "pharma"]).output
    assert "40 days → 45 days" in spoken
    assert run("decline", asked, "duplicate", who="pharma")["state"] == "TERMINATED"


def test_the_page_of_an_agreement_tells_its_rounds_in_both_languages(house: House) -> None:
    request = requested(house, terms={"parameters": PARAMETERS | {"max_uses": 9}})
    first = offer(house, request, price_plan=CHEAPER)
    counter(house, request, term_days=77)
    agreement = approve(house, request)
    with house.runtime.database.reading() as db:
        english = rounds.part(Reader(db, house.clock.now(), "en"), agreement)["rounds"]
        chinese = rounds.part(Reader(db, house.clock.now(), "zh"), agreement)["rounds"]
        assert queries.agreement(db, first.id).state == "terminated"
    assert [(one["number"], one["by"]) for one in english] == [(1, "buyer"), (2, "provider"), (3, "buyer")]
    assert any("365 days → 77 days" in line for line in english[2]["changes"])
    assert any("77 日" in line for line in chinese[2]["changes"])


def test_fsck_finds_every_row_of_a_negotiation_as_it_was_recorded(house: House) -> None:
    listing = listed(house)
    automatic = {"purposes": ["model_training"], "buyer_kinds": ["insurer"], "price_not_below_fen": 1}
    set_rule(house, listing.id, automatic=automatic, reviews=[{"office": "management", "persons": ["p-1", "p-2"]}])
    request = requested(house, listing)
    work(house)
    review(house, request, "p-1", "management")
    agreement = approve(house, request)
    for who in ("pharma", "hospital"):
        sign(house, agreement, who)
    with house.runtime.database.reading() as db:
        tables = {"proposal", "answer_rule", "proposal_review", "person", "access_request", "agreement", "document"}
        assert [one for one in recheck(db) if one.table in tables] == []
    with house.arrange() as db:
        changed = queries.request(db, request.id)
        from marketplace.negotiation.rounds.queries import latest

        proposal = latest(db, changed.id)
        assert proposal is not None
        proposal.price_plan = CHEAPER
        db.add(proposal)
    with house.runtime.database.reading() as db:
        assert {one.table for one in recheck(db)} >= {"proposal"}


def test_a_buyers_machine_signs_its_rule_and_what_was_accepted_by_it(
    house: House, clients: dict[str, ApiClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing, buyer, provider = listed(house), clients["pharma"], clients["hospital"]

    @contextmanager
    def connected(*_: Any) -> Iterator[ApiClient]:
        yield buyer

    monkeypatch.setattr(negotiating, "client_of", connected)
    bounds = {
        "purposes": ["model_training"],
        "price_at_most_fen": PRICE_FEN,
        "price_per_use_at_most_fen": 0,
        "rounds_at_most": 2,
        "counter_price_fen": None,
    }
    file, cheaper = tmp_path / "rule.json", tmp_path / "cheaper.json"
    file.write_text(json.dumps(bounds))
    cheaper.write_text(json.dumps(bounds | {"price_at_most_fen": PRICE_FEN - 1}))
    run = CliRunner()
    with pytest.raises(ProblemError) as none_yet:
        buyer.get(f"/v1/listings/{listing.id}/acceptance-rule")
    assert none_yet.value.slug == "no-acceptance-rule"
    said = run.invoke(
        command_line,
        ["request", "rule", listing.id, "--rule", str(file), "--as", "x", "--json"],
        catch_exceptions=False,
    )
    assert json.loads(said.output)["automatic"] == bounds
    assert buyer.get(f"/v1/listings/{listing.id}/acceptance-rule") == json.loads(said.output)
    asked = buyer.post(
        "/v1/requests", {"listing": listing.id, "purpose": "model_training", "justification": "planned study"}
    )
    agreement = provider.post(f"/v1/requests/{asked['id']}/approval", {})
    work(house)
    assert buyer.get(f"/v1/requests/{asked['id']}")["reason"] == "accepted_by_rule"
    refused = run.invoke(command_line, ["request", "sign-accepted", listing.id, str(cheaper), "--as", "x"])
    assert isinstance(refused.exception, NotTheDocument)
    assert buyer.get(f"/v1/agreements/{agreement['id']}")["signatures"] == []
    for _ in range(2):
        signed = run.invoke(command_line, ["request", "sign-accepted", listing.id, str(file), "--as", "x", "--json"])
        assert [one["id"] for one in json.loads(signed.output)] == [agreement["id"]]
    done = provider.post(
        f"/v1/agreements/{agreement['id']}/signature", provider.sign(agreement["document"], "agreement")
    )
    assert done["state"] == "finalized"
