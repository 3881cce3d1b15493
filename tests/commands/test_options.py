"""How a command prints an answer of the API for people."""

from __future__ import annotations

import pytest

from marketplace.commands.options import show


def test_an_answer_is_printed_in_words_and_its_parts_below_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {
        "id": "agr_1",
        "parent_id": None,
        "is_example": True,
        "keywords": ["胸部CT", "肺癌"],
        "left_out": {},
        "duties": [
            {"kind": "delete", "days": 30, "calendar": []},
            {"kind": "report", "days": 90, "calendar": [{"begins": "2026-01-01"}]},
        ],
    }
    show(shown, as_json=False)
    assert capsys.readouterr().out == (
        "id                   agr_1\n"
        "parent_id            -\n"
        "is_example           yes\n"
        "keywords             胸部CT, 肺癌\n"
        "left_out             -\n"
        "duties\n"
        "- kind                 delete\n"
        "  days                 30\n"
        "  calendar             -\n"
        "- kind                 report\n"
        "  days                 90\n"
        "  calendar\n"
        "  - begins               2026-01-01\n"
    )
