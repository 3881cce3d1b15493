"""Terms on the pages: each in words of the reader's language, whatever a contract says."""

from __future__ import annotations

import json

import pytest

from marketplace.console.policies import term_rows
from marketplace.console.words import Language
from marketplace.exchange.templates import render_uses, template
from marketplace.exchange.terms import CONTRACTS


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", ["insurance-actuarial/v1", "open-data/v1", "research-use/v1"])
def test_limits_on_what_leaves_are_shown_in_words(name: str, language: Language) -> None:
    file = CONTRACTS / "terms" / name / "examples" / "valid" / "narrowed.json"
    uses = render_uses(template(name), json.loads(file.read_text("utf-8")), "ast_1")
    rows = term_rows(uses, language, str)
    values = {row["term"]: row["value"] for row in rows}
    groups = values[{"en": "small groups are withheld", "zh": "扣留过小群组"}[language]]
    assert {"en": "age band", "zh": "年龄段"}[language] in groups
    assert not any("mkt:" in row["term"] + row["value"] or "{" in row["value"] for row in rows)
    if name == "research-use/v1":
        assert "SliceThickness" in values[{"en": "only these attributes leave", "zh": "仅交付所列属性"}[language]]
