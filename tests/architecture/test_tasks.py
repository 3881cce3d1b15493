"""Whatever is put into the outbox has somebody who does it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.generated import ROOT
from workers.tasks import REGISTRY
from workers.tasks.within import Within


def enqueued() -> Iterator[tuple[Path, str]]:
    """The task name of every call of enqueue in the code; a constant is looked up in its module."""
    for root in ("marketplace", "workers"):
        for path in sorted((ROOT / root).rglob("*.py")):
            tree = ast.parse(path.read_text())
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and _name(call.func) == "enqueue":
                    yield path, _value(path, call.args[1])


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _value(path: Path, argument: ast.expr) -> str:
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found: object = eval(ast.unparse(argument), vars(module))  # our own source, a constant's name
    assert isinstance(found, str)
    return found


def function_of(name: str) -> Callable[..., Any]:
    task = REGISTRY[name]
    return task.begin if isinstance(task, Within) else task


def test_every_task_that_is_enqueued_is_registered() -> None:
    found = list(enqueued())
    assert len(found) >= 5
    for path, name in found:
        assert name in REGISTRY, f"{path.relative_to(ROOT)} enqueues {name}"


def test_every_registered_task_is_enqueued_or_runs_by_the_clock() -> None:
    schedule = (ROOT / "workers" / "schedule.py").read_text()
    waiting = set(REGISTRY) - {name for _, name in enqueued()}
    for name in waiting:
        assert function_of(name).__name__ in schedule, f"nothing ever runs {name}"


def test_tasks_are_named_after_their_room() -> None:
    for name in REGISTRY:
        room, task = name.split(".")[0], function_of(name)
        assert task.__module__ == f"workers.tasks.{room}" or room == "costing", (name, task.__module__)
        assert task.__doc__, name
