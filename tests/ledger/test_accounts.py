"""The chart and the posting rules are data that hold together."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from marketplace.ledger.accounts import (
    FOLDER,
    Chart,
    NoPostingRule,
    NoSuchAccount,
    PostingRules,
    chart,
    posting_rules,
)
from marketplace.ledger.rules import balanced, postings_for

KINDS = (
    "governance.scan",
    "legal.opinion",
    "registration.certificate",
    "sale.access",
    "exchange.buyer_fee",
    "use.transfer",
    "sale.success",
    "escrow.deposit",
)


def test_every_account_a_rule_names_is_in_the_chart():
    for rule in posting_rules().rules:
        for line in rule.lines:
            assert chart().account(line.debit)
            assert chart().account(line.credit)
    assert posting_rules().chart == chart().id


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_that_the_rooms_meter_has_a_posting_rule(kind):
    assert posting_rules().rule(kind).lines


def test_stage_costs_go_to_accounts_that_feed_the_cost_sheet_and_nothing_else_does():
    costs = chart().feeding("cost")
    for rule in posting_rules().rules:
        booked = {line.debit for line in rule.lines} & costs
        assert bool(booked) == (rule.stage is not None), rule.kind


def test_unknown_accounts_and_kinds_are_refused():
    with pytest.raises(NoSuchAccount):
        chart().account("expense:bribes")
    with pytest.raises(NoPostingRule):
        posting_rules().rule("coffee.cup")


def test_chart_and_rules_are_closed_documents():
    document = json.loads((FOLDER / "chart-v1.json").read_text("utf-8"))
    document["accounts"].append(document["accounts"][0])
    with pytest.raises(ValidationError, match="twice"):
        Chart.model_validate(document)
    rules = json.loads((FOLDER / "posting-rules-v1.json").read_text("utf-8"))
    rules["rules"][0]["lines"][0]["amount"] = "vat"
    with pytest.raises(ValidationError, match="no parts"):
        PostingRules.model_validate(rules)
    rules["rules"][0]["lines"][0]["discount"] = "1"
    with pytest.raises(ValidationError):
        PostingRules.model_validate(rules)


@given(
    st.sampled_from(posting_rules().rules),
    st.fixed_dictionaries(
        {name: st.integers(0, 10**12) for name in ("price", "net", "vat", "surcharge", "exchange_fee")}
    ),
    st.fixed_dictionaries({"payer": st.just("a"), "payee": st.just("b"), "venue": st.sampled_from([None, "a", "c"])}),
)
def test_a_rule_balances_whatever_the_amounts_and_whoever_the_parties(rule, amounts, parties):
    lines = postings_for(rule, parties, amounts)
    assert balanced(lines)
    assert sum(line.amount_minor for line in lines) == 0
