"""One line finds entries; what cannot be read is named with its position."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.audit.queries import Qualifiers
from marketplace.audit.search import BadQuery, joined, parse


def test_every_qualifier_is_read() -> None:
    found = parse("actor:prt_x action:usage: asset:ast_1 agreement:agr_1 from:2026-01-01 to:2026-02-01T08:00:00+08:00")
    first, after = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    assert found == Qualifiers("prt_x", "usage:", "ast_1", "agr_1", first, after)
    assert parse("  action:usage:allowed  ") == Qualifiers(action="usage:allowed")
    assert parse("") == Qualifiers()


@pytest.mark.parametrize(
    ("query", "detail", "got"),
    [
        ("actor:prt_x colour:red", "unknown qualifier at position 13", "colour:"),
        ("usage", "unknown qualifier at position 1", "usage"),
        ("Zhang Wei", "unknown qualifier at position 1", "5 characters"),
        ("Actor:prt_x", "unknown qualifier at position 1", "6 characters"),
        ("actor:prt_x actor:prt_y", "`actor:` comes twice, at position 13", None),
        ("from:yesterday", "the value of `from:` at position 1 cannot be read", "yesterday"),
        ("from:2026-13-01", "the value of `from:` at position 1 cannot be read", "10 characters"),
        ("from:2026-01-01T00:00:00", "the value of `from:` at position 1 cannot be read", "19 characters"),
        ("asset:", "the value of `asset:` at position 1 cannot be read", "0 characters"),
        ("action:usage", "the value of `action:` at position 1 cannot be read", "usage"),
        ("asset:a*", "the value of `asset:` at position 1 cannot be read", "2 characters"),
        ("asset:'张伟'", "the value of `asset:` at position 1 cannot be read", "4 characters"),
    ],
)
def test_what_cannot_be_read_is_named(query: str, detail: str, got: str | None) -> None:
    with pytest.raises(BadQuery) as caught:
        parse(query)
    assert (caught.value.detail, caught.value.got) == (detail, got)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_without_being_said_back(text: str) -> None:
    said = _refusal(text)
    assert said is None or re.fullmatch(r"[a-z_]{0,20}:?|\d+ characters", said.got or "")
    assert said is None or said.detail.isascii()


def _refusal(text: str) -> BadQuery | None:
    try:
        parse(text)
    except BadQuery as error:
        return error
    return None


def test_parameters_narrow_a_search_and_never_contradict_it() -> None:
    assert joined("actor:a", Qualifiers(asset="b")) == Qualifiers(actor="a", asset="b")
    assert joined(None, Qualifiers(asset="b")) == Qualifiers(asset="b")
    with pytest.raises(BadQuery):
        joined("asset:b", Qualifiers(asset="b"))
