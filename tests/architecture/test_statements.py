"""What goes past the session: writes only to tables that need neither entry nor seal, and questions that fit."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import TypeVar

import marketplace
from marketplace.audit.evidence import WITHOUT_ENTRY
from marketplace.audit.seals import SEALED
from marketplace.plumbing.loading import loader
from marketplace.plumbing.questions import Objects, Question, Together
from marketplace.plumbing.writes import Write
from tests.generated import ROOT

T = TypeVar("T")
# They run at once, or only as a process of their own.
NOT_READ = ("marketplace.migrations.", "marketplace.plumbing.sandbox_child")


def every(kind: type[T]) -> Iterator[T]:
    """All instances of a class in the modules of the service."""
    for module in walk_packages(marketplace.__path__, "marketplace."):
        if not module.name.startswith(NOT_READ) and not module.name.endswith("__main__"):
            import_module(module.name)
    yield from (one for one in gc.get_objects() if type(one) is kind)


def test_what_is_written_past_the_guard_of_the_log_needs_neither_entry_nor_seal() -> None:
    tables = {one.table for one in every(Write)}
    assert {"outbox", "dataspace_message"} <= tables
    assert tables <= WITHOUT_ENTRY.keys()
    assert tables.isdisjoint(SEALED)


def test_writes_and_questions_are_made_with_their_modules_not_per_call() -> None:
    """Whatever were made later would pass by the test above, and would cost what it saves."""
    inside = []
    for path in Path(ROOT, "marketplace").rglob("*.py"):
        inside += [
            f"{path.name}: {line}"
            for line in path.read_text().splitlines()
            if line.startswith(" ") and " Write(" in line
        ]
    assert [one for one in inside if not one.startswith("outbox.py:     name: Write(")] == []


def test_questions_for_objects_select_the_columns_of_their_tables_in_the_order_in_which_rows_are_loaded() -> None:
    asked = [(one._question, (one._model,)) for one in every(Objects)]
    asked += [(one._question, tuple(one._models)) for one in every(Together)]
    assert len(asked) > 5
    for question, models in asked:
        wanted = [(model.__tablename__, name) for model in models for name in loader(model)._names]
        assert [(one.table.name, one.key) for one in question._statement.selected_columns] == wanted


def test_every_question_can_be_put_in_the_words_of_sqlite() -> None:
    questions = list(every(Question))
    assert len(questions) > 15
    for one in questions:
        assert one._bare._made.text.startswith("SELECT")
