"""What every benchmark prints: figures and their floor, measured in the same run, against fixed goals."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Goal:
    """A bound of a figure, or of its ratio to the floor.  id: of the goal in the design, e.g. `G6`."""

    id: str
    at_least: float | None = None
    at_most: float | None = None

    def met_by(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def words(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


@dataclass
class Result:
    """The figures of one benchmark.  how: what was measured on what, in words; goals: by figure or `ratio.` figure."""

    name: str
    how: str
    goals: dict[str, Goal]
    figures: dict[str, float] = field(default_factory=dict)
    floor: dict[str, float] = field(default_factory=dict)
    ratio: dict[str, float] = field(default_factory=dict)

    @property
    def missed(self) -> list[str]:
        """Goals that the figures do not meet; a figure that was not measured meets none."""
        return [name for name, goal in self.goals.items() if (v := self._value(name)) is None or not goal.met_by(v)]

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "figures": self.figures,
            "floor": self.floor,
            "ratio": self.ratio,
            "goal": {name: f"{goal.id} {goal.words()}" for name, goal in self.goals.items()},
            "met": not self.missed,
            "missed": self.missed,
            "how": self.how,
        }

    def as_lines(self) -> str:
        lines = [f"{self.name}: {self.how}"]
        for name in (*self.figures, *(f"ratio.{one}" for one in self.ratio)):
            goal = self.goals.get(name)
            mark = "" if goal is None else f"{goal.id} {goal.words()} {'MISSED' if name in self.missed else 'met'}"
            lines.append(f"  {name:<28}{self._value(name):>14,.6g}  {mark}")
        return "\n".join(lines)

    def _value(self, name: str) -> float | None:
        return self.ratio.get(name.removeprefix("ratio.")) if name.startswith("ratio.") else self.figures.get(name)


def main(
    measure: Callable[[argparse.Namespace], Result],
    arguments: Sequence[str] | None = None,
    more: Callable[[argparse.ArgumentParser], None] = lambda _: None,
) -> None:
    """Run a benchmark from the command line; exit code 1 when a goal is missed.  more: adds its own options."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    more(parser)
    options = parser.parse_args(arguments)
    result = measure(options)
    print(json.dumps(result.as_json()) if options.json else result.as_lines(), flush=True)
    sys.exit(0 if not result.missed else 1)
