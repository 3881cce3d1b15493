"""Every template: offered, negotiated in three rounds, signed by both, used within and beyond its terms, ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from marketplace.audit import documents
from marketplace.exchange.linting import obstacles, plans_of
from marketplace.exchange.templates import template, templates
from marketplace.exchange.terms.delivery import NotDeliverable
from marketplace.negotiation import queries, stopping
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.negotiation.refusals import clauses_behind
from marketplace.usage.rules import UseRequest
from marketplace.usage.service import authorize
from tests.exchange.parts import OFFERABLE, listed, offered, parameters_of, terms_of
from tests.house import House
from tests.negotiation.parts import WHY, approve, requested, sign, state
from tests.negotiation.rounds.parts import PROVIDER, content, counter, facts, offer, proposals

BUYERS = {"insurance-actuarial/v1": "insurer"}
OTHER_PURPOSE = dict.fromkeys(OFFERABLE, "actuarial_pricing") | {"insurance-actuarial/v1": "model_training"}
DAYS = 200


def negotiated(house: House, name: str, who: str) -> tuple[AccessRequest, Agreement]:
    """Asked for more uses, offered for a shorter term, countered by a price, and offered so."""
    terms = terms_of(name)
    more = parameters_of(name, max_uses=(parameters_of(name).get("max_uses") or 0) + 3)
    request = requested(
        house,
        listed(house, **terms),
        who,
        purpose=terms["parameters"]["purposes"][0],
        terms={"parameters": more, "starts_at": house.clock.now() + timedelta(days=1)},
    )
    plan = terms["price_plan"]
    shorter = {"period_days": DAYS} if plan["kind"] == "subscription" else {}
    offer(house, request, term_days=DAYS, price_plan=plan | shorter)
    price = max(plan["price_fen"] - 1_000, 0)
    answer = counter(house, request, who, price_plan=plan | shorter | {"price_fen": price}, starts_at=house.clock.now())
    assert isinstance(answer, AccessRequest)
    return request, approve(house, request)


@pytest.mark.parametrize("name", OFFERABLE)
def test_a_contract_of_every_template_is_negotiated_in_three_rounds_used_and_ended(house: House, name: str) -> None:
    who = BUYERS.get(name, "pharma")
    request, agreement = negotiated(house, name, who)
    for side in (who, PROVIDER):
        sign(house, agreement, side)
    assert state(house, agreement) == ("FINALIZED", "finalized")
    assert [(one.round, one.by) for one in proposals(house, request)] == [
        (1, "buyer"), (2, "provider"), (3, "buyer"),
    ]  # fmt: skip
    document = content(house, agreement.document)
    agreed = proposals(house, request)[-1]
    assert (document["round"], document["proposal"]) == (3, agreed.document)
    assert (document["parameters"], document["price_plan"]) == (agreed.parameters, agreed.price_plan)
    assert agreement.ends_at - agreement.starts_at == timedelta(days=DAYS)
    assert facts(house, "agreement_finalized")[0]["document"] == agreement.document

    def asked(**use: Any) -> tuple[tuple[str, ...], list[str]]:
        return refusal(house, agreement, who, **{"purpose": agreed.purpose} | use)

    term = next(one for one in ("term_and_volume", "term") if one in clauses_of(name))
    assert asked() == ((), [])
    assert asked(purpose="marketing") == (("purpose_denied_always",), [purpose_clause(name)])
    assert asked(delivery_mode="secure_environment") == (("delivery_mode_not_permitted",), ["delivery"])
    if "max_uses" in agreed.parameters:
        assert asked(uses=agreed.parameters["max_uses"]) == ((), [])
        assert asked(uses=agreed.parameters["max_uses"] + 1) == (("quota_exceeded",), [term])
        assert asked(purpose=OTHER_PURPOSE[name]) == (("purpose_not_permitted",), ["purpose"])
        assert asked(place="DE") == (("transfer_abroad",), ["no_onward_transfer"])
    house.clock.advance_to(agreement.ends_at + timedelta(seconds=1))
    assert "expired" in asked()[0]
    assert term in asked()[1]
    with house.db() as db:
        found = queries.agreement(db, agreement.id)
        stopping.terminate(db, house.cast[who].actor, found, WHY, house.clock.now())
    assert state(house, agreement) == ("FINALIZED", "terminated")
    assert "agreement_terminated" in asked()[0]
    assert "termination" in asked()[1]


def refusal(house: House, agreement: Agreement, who: str, **asked: Any) -> tuple[tuple[str, ...], list[str]]:
    """Reason codes and the ids of the clauses that they name, none for a use that is allowed."""
    use = UseRequest(**({"action": "use"} | asked))
    with house.runtime.database.reading() as db:
        found = queries.agreement(db, agreement.id)
        ruling = authorize(db, house.cast[who].actor, found, use, house.clock.now(), house.runtime)
        document = documents.content(db, agreement.document)
    reasons = ruling.decision.reasons
    assert ruling.decision.allow is (reasons == ())
    return reasons, [one["id"] for one in clauses_behind(document, reasons)]


def clauses_of(name: str) -> set[str]:
    return {one["id"] for one in template(name).clauses["en"]["clauses"]}


def purpose_clause(name: str) -> str:
    return next(one for one in ("no_individual_decision", "purpose") if one in clauses_of(name))


def test_all_templates_but_the_secure_environment_can_be_negotiated(house: House) -> None:
    assert set(templates()) - set(OFFERABLE) == {"secure-environment-only/v1"}
    (why, *_) = obstacles(template("secure-environment-only/v1"))
    assert "environment" in why
    terms = terms_of("secure-environment-only/v1")
    with pytest.raises(NotDeliverable, match="environment"):
        offered(house, **terms)
    assert isinstance(plans_of(template("per-case/v1")), dict)
