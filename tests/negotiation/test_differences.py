"""The difference between two versions in words that a person can agree to."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from marketplace.audit import documents
from marketplace.exchange import queries as exchange
from marketplace.exchange.templates import LANGUAGES, Template, render_uses, template, templates
from marketplace.exchange.terms import CONTRACTS
from marketplace.exchange.wording import policy_in_words
from marketplace.negotiation.differences import (
    WORDS,
    Difference,
    differences,
    paper_of_agreement,
    paper_of_offer,
    paper_of_template,
)
from marketplace.negotiation.models import Agreement
from tests.exchange.parts import PARAMETERS, certified, listed, offered
from tests.house import House
from tests.negotiation.parts import approve, drafted, requested
from tests.negotiation.test_contract import command_line

EXAMPLE = json.loads((CONTRACTS / "documents" / "examples" / "valid" / "agreement.json").read_text("utf-8"))


def content(house: House, agreement: Agreement) -> dict[str, Any]:
    with house.db() as db:
        return documents.content(db, agreement.document)


def two_versions(house: House) -> tuple[Agreement, Agreement]:
    """The same parties about the same version, first for 5 uses, then for 25, over a longer term."""
    version = certified(house)
    first = approve(house, requested(house, listed(house, version)))
    later = PARAMETERS | {"max_uses": 25, "purposes": ["model_training", "scientific_research"]}
    return first, approve(house, requested(house, listed(house, version, parameters=later, term_days=400)))


def told(found: list[Difference], part: str) -> dict[str, tuple[str, str]]:
    return {one.at: (one.en, one.zh) for one in found if one.part == part}


def test_nothing_differs_from_itself(house: House) -> None:
    paper = paper_of_agreement(content(house, drafted(house)))
    assert differences(paper, paper) == []


def test_a_changed_agreement_is_told_in_facts_parameters_terms_and_clauses(house: House) -> None:
    old, new = (content(house, one) for one in two_versions(house))
    found = differences(paper_of_agreement(old), paper_of_agreement(new))
    assert {one.change for one in found} == {"changed"}
    assert told(found, "parameter") == {
        "purposes": (
            "purposes: removed: Validation of models; added: Scientific research",
            "使用目的：删去：模型验证；新增：科学研究",
        ),
        "max_uses": ("at most 5 uses → at most 25 uses", "最多使用 5 次 → 最多使用 25 次"),
    }
    terms = [f"{one['starts_at']} – {one['ends_at']}" for one in (old, new)]
    assert told(found, "fact")["term"] == (f"term: {terms[0]} → {terms[1]}", f"期限: {terms[0]} → {terms[1]}")
    assert told(found, "term")["permission/train/constraint/count/lteq"] == (
        "train models · number of uses: at most 5 → train models · number of uses: at most 25",
        "训练模型 · 使用次数: 至多 5 → 训练模型 · 使用次数: 至多 25",
    )
    clauses = told(found, "clause")
    assert set(clauses) == {"purpose", "term_and_volume"}
    assert "“5” → “25”" in clauses["term_and_volume"][0]
    assert "“5” → “25”" in clauses["term_and_volume"][1]
    assert clauses["purpose"][1].startswith("第 3 条“目的限制”: ")


def test_two_offers_differ_by_what_they_offer(house: House) -> None:
    version = certified(house)
    plan = {"kind": "per_use", "price_fen": 900}
    first, second = offered(house, version), offered(house, version, price_plan=plan, term_days=30)
    with house.db() as db:
        papers = [paper_of_offer(exchange.offer(db, one.id)) for one in (first, second)]
    found = differences(*papers)
    assert [(one.part, one.at) for one in found] == [("fact", "term"), ("fact", "price")]
    assert found[0].zh == "期限: 365 日 → 30 日"
    assert "each use costs RMB 9.00" in found[1].en


def test_added_and_removed_terms_and_clauses_are_named() -> None:
    more = copy.deepcopy(EXAMPLE)
    more["uses"]["prohibition"].append({"action": "mkt:marketing"})
    more["uses"]["permission"][0]["constraint"].append(
        {"or": [
            {"leftOperand": "spatial", "operator": "eq", "rightOperand": "CN"},
            {"leftOperand": "mkt:recipientKind", "operator": "isAnyOf", "rightOperand": ["hospital", "university"]},
        ]}
    )  # fmt: skip
    for language, words in (("zh", "禁止营销"), ("en", "No marketing")):
        more["text"][language]["clauses"].append({"id": "no_marketing", "title": words, "text": words})
    added = differences(paper_of_agreement(EXAMPLE), paper_of_agreement(more))
    assert [(one.part, one.change, one.en) for one in added] == [
        ("term", "added", "added: use · (place of use: CN or kind of recipient: hospital, university)"),
        ("term", "added", "added: marketing to persons"),
        ("clause", "added", "added: clause 26 “No marketing”"),
    ]
    removed = differences(paper_of_agreement(more), paper_of_agreement(EXAMPLE))
    assert [(one.change, one.zh) for one in removed] == [
        ("removed", "删去：使用 · （使用地: CN或接收方类型: 医院、高等院校）"),
        ("removed", "删去：针对个人的营销"),
        ("removed", "删去：第 26 条“禁止营销”"),
    ]


def test_a_clause_worded_anew_is_told_whole_and_an_edit_by_its_words() -> None:
    more = copy.deepcopy(EXAMPLE)
    clause = next(one for one in more["text"]["en"]["clauses"] if one["id"] == "law_forum")
    before, clause["text"] = clause["text"], "Bananas are yellow."
    [found] = differences(paper_of_agreement(EXAMPLE), paper_of_agreement(more))
    assert f"“{before}” → “Bananas are yellow.”" in found.en
    clause["text"] = before.replace("competent people's court", "arbitration commission")
    [found] = differences(paper_of_agreement(EXAMPLE), paper_of_agreement(more))
    assert found.en == "clause 24 “Law and forum”: “competent people's court” → “arbitration commission”"


def test_two_templates_differ_in_purposes_terms_and_clauses() -> None:
    papers = [paper_of_template(template(name)) for name in ("research-use/v1", "model-training/v1")]
    found = differences(*papers)
    assert told(found, "fact")["template"][0] == "template: research-use/v1 → model-training/v1"
    assert told(found, "term")["permission/train"] == ("added: train models", "新增：训练模型")
    assert "model_safeguards" in told(found, "clause")


def test_duties_are_told_by_when_they_are_due() -> None:
    uses = render_uses(template("research-use/v1"), PARAMETERS | {"purposes": ["statistics"]}, "ast_1")
    told_ = {language: [one.sentence for one in policy_in_words(uses, language)] for language in LANGUAGES}
    assert {"delete after the end: within 37 days", "report the use: at least once in 91 days"} <= set(told_["en"])
    assert {"到期删除: 37 日内", "报告使用情况: 至少每 91 日一次"} <= set(told_["zh"])


@pytest.mark.parametrize("name", sorted(templates()))
def test_every_parameter_of_every_template_has_words_in_both_languages(name: str) -> None:
    chosen: Template = template(name)
    for parameter in chosen.schema["properties"]:
        assert all(WORDS[parameter][language].count("{}") == 1 for language in LANGUAGES), parameter
    assert differences(paper_of_template(chosen), paper_of_template(chosen)) == []


def test_the_command_line_tells_the_same(house: House, tmp_path: Path) -> None:
    files = []
    for number, agreement in enumerate(two_versions(house)):
        with house.db() as db:
            files.append(tmp_path / f"{number}.json")
            files[-1].write_bytes(documents.get(db, agreement.document).body)
    said = command_line(["compare", *map(str, files), "--lang", "en"])
    assert "parameter: at most 5 uses → at most 25 uses" in said.splitlines()
    rows = json.loads(command_line(["compare", *map(str, files), "--json"]))
    assert {one["part"] for one in rows} == {"fact", "parameter", "term", "clause"}
