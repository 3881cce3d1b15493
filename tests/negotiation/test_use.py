"""What a signed agreement grants when the real policy reads it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from marketplace.audit import documents
from marketplace.exchange.templates import LANGUAGES, template, templates
from marketplace.exchange.terms import CONTRACTS
from marketplace.negotiation import queries, stopping
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.refusals import CLAUSES, clauses_behind
from marketplace.usage.rules import UseRequest
from marketplace.usage.service import authorize
from tests.exchange.parts import OFFERABLE, listed, parameters_of, suspend_certificate, terms_of
from tests.house import House
from tests.negotiation.parts import WHY, approve, drafted, finalized, requested, sign


def reasons(house: House, agreement: Agreement, who: str = "pharma", **asked: Any) -> tuple[str, ...]:
    use = UseRequest(**({"purpose": "model_training", "action": "use"} | asked))
    with house.db() as db:
        found = queries.agreement(db, agreement.id)
        ruling = authorize(db, house.cast[who].actor, found, use, house.clock.now(), house.runtime)
    assert ruling.decision.allow is (ruling.decision.reasons == ())
    return ruling.decision.reasons


def test_a_use_within_the_agreement_is_granted_and_any_other_is_refused(house: House) -> None:
    agreement = finalized(house)
    assert reasons(house, agreement) == ()
    assert reasons(house, agreement, purpose="model_validation", action="train") == ()
    assert reasons(house, agreement, purpose="education") == ("purpose_not_permitted",)
    assert "wrong_party" in reasons(house, agreement, "ai_company")
    house.clock.advance_to(agreement.ends_at + timedelta(seconds=1))
    assert "expired" in reasons(house, agreement)


def in_force(house: House, name: str) -> Agreement:
    """A contract of a template: offered, listed, asked for, approved, signed by both."""
    who = BUYERS.get(name, "pharma")
    terms = terms_of(name)
    request = requested(house, listed(house, **terms), who, purpose=terms["parameters"]["purposes"][0])
    agreement = approve(house, request)
    sign(house, agreement, who)
    return sign(house, agreement, "hospital")


def clauses(house: House, agreement: Agreement, found: tuple[str, ...]) -> list[str]:
    with house.db() as db:
        document = documents.content(db, agreement.document)
    named = clauses_behind(document, found)
    for one in named:
        clause = document["text"]["en"]["clauses"][one["number"] - 1]
        assert (clause["id"], clause["title"]) == (one["id"], one["en"])
    return [one["id"] for one in named]


BUYERS = {"insurance-actuarial/v1": "insurer"}


@pytest.mark.parametrize("name", OFFERABLE)
def test_a_contract_of_every_template_grants_within_its_terms_and_names_the_clause_beyond_them(
    house: House, name: str
) -> None:
    parameters, who = parameters_of(name), BUYERS.get(name, "pharma")
    agreement = in_force(house, name)
    term = next(one for one in ("term_and_volume", "term") if clauses_of(name) & {one})

    def asked(**use: Any) -> tuple[tuple[str, ...], list[str]]:
        found = reasons(house, agreement, who, **{"purpose": parameters["purposes"][0]} | use)
        return found, clauses(house, agreement, found)

    assert asked() == ((), [])
    assert asked(purpose="marketing")[0] == ("purpose_denied_always",)
    if name != "open-data/v1":
        assert asked(purpose=OTHER_PURPOSE[name]) == (("purpose_not_permitted",), ["purpose"])
        assert asked(uses=parameters["max_uses"] + 1) == (("quota_exceeded",), [term])
        assert asked(bytes=int(parameters["max_bytes"]) + 1) == (("quota_exceeded",), [term])
        assert asked(place="DE") == (("transfer_abroad",), ["no_onward_transfer"])
    assert asked(delivery_mode="secure_environment") == (("delivery_mode_not_permitted",), ["delivery"])
    if "evaluation_days" in parameters:
        house.clock.advance(timedelta(days=parameters["evaluation_days"], seconds=1))
        assert asked() == (("expired",), [term])
    house.clock.advance_to(agreement.ends_at + timedelta(seconds=1))
    assert "expired" in asked()[0]
    assert term in asked()[1]
    with house.db() as db:
        found = queries.agreement(db, agreement.id)
        stopping.terminate(db, house.cast["hospital"].actor, found, WHY, house.clock.now())
    assert "termination" in asked()[1]


OTHER_PURPOSE = dict.fromkeys(OFFERABLE, "actuarial_pricing") | {"insurance-actuarial/v1": "model_training"}


def clauses_of(name: str) -> set[str]:
    return {one["id"] for one in template(name).clauses["en"]["clauses"]}


def test_only_an_insurer_uses_actuarial_data_and_never_to_decide_on_a_person(house: House) -> None:
    name = "insurance-actuarial/v1"
    terms = terms_of(name)
    agreement = approve(house, requested(house, listed(house, **terms), "pharma", purpose="actuarial_pricing"))
    for who in ("pharma", "hospital"):
        sign(house, agreement, who)
    found = reasons(house, agreement, purpose="actuarial_pricing")
    assert found == ("recipient_kind_not_permitted",)
    assert clauses(house, agreement, found) == ["recipients"]
    found = reasons(house, agreement, purpose="individual_insurance_decision")
    assert "purpose_denied_always" in found
    assert "no_individual_decision" in clauses(house, agreement, found)


def test_every_reason_leads_to_a_clause_of_every_template() -> None:
    known = json.loads((CONTRACTS / "policy" / "reasons.json").read_text("utf-8"))
    assert set(known) <= set(CLAUSES)
    for name in templates():
        document = {"text": {language: template(name).clauses[language] for language in LANGUAGES}}
        for code in known:
            assert len(clauses_behind(document, [code])) == 1, (name, code)


def test_a_draft_grants_nothing(house: House) -> None:
    assert "agreement_not_final" in reasons(house, drafted(house))


@pytest.mark.parametrize("end", ["terminated", "certificate"])
def test_what_was_granted_ends_with_the_agreement_or_the_certificate(house: House, end: str) -> None:
    agreement = finalized(house)
    if end == "terminated":
        with house.db() as db:
            found = queries.agreement(db, agreement.id)
            stopping.terminate(db, house.cast["hospital"].actor, found, WHY, house.clock.now())
        assert reasons(house, agreement) == ("agreement_terminated",)
    else:
        suspend_certificate(house, agreement.version_id)
        assert reasons(house, agreement) == ("certificate_suspended",)
