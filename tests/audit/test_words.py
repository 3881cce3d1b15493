"""Words that somebody typed stay in a document; the entry holds a hash that cannot be guessed."""

from __future__ import annotations

import pytest

from marketplace.audit import documents
from marketplace.audit.words import keep_text, keep_why
from marketplace.kernel.canonical import read_strictly
from tests.audit.world import BUYER, NOW, OPERATOR, PROVIDER, Log


def test_equal_words_have_different_hashes(log: Log) -> None:
    with log.database.session(write=True) as db:
        first, second = (keep_text(db, "Zhang Wei", NOW, ("prt_hospital",)) for _ in range(2))
        assert first != second
        assert read_strictly(documents.get(db, first).body)["text"] == "Zhang Wei"


def test_only_those_concerned_read_them(log: Log) -> None:
    with log.database.session(write=True) as db:
        name = keep_text(db, "Zhang Wei", NOW, ("prt_hospital", "prt_operator"))
        assert documents.get_for(db, PROVIDER, name).sha256 == documents.get_for(db, OPERATOR, name).sha256 == name
        with pytest.raises(documents.NoSuchDocument):
            documents.get_for(db, BUYER, name)


@pytest.mark.parametrize(
    ("code", "note", "reason", "text"),
    [
        ("data_error", "", "data_error", None),
        ("data_error", "see ward 7", "data_error", "data_error: see ward 7"),
        ("zhang_wei_asked", "", "other", "zhang_wei_asked"),
        ("zhang_wei_asked", "today", "other", "zhang_wei_asked: today"),
        ("", "", "", None),
    ],
)
def test_a_code_of_the_list_is_said_and_every_other_is_words(
    log: Log, code: str, note: str, reason: str, text: str | None
) -> None:
    with log.database.session(write=True) as db:
        facts = keep_why(db, code, note, NOW, ("prt_hospital",))
        assert facts["reason"] == reason
        kept = None if facts["words"] is None else read_strictly(documents.get(db, facts["words"]).body)["text"]
        assert kept == text
