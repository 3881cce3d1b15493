"""Benchmarks: they measure the working tree, so they live with its tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.commands.options import AsJson

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "benchmarks"
_MISSED = 1


def bench(
    name: Annotated[str, typer.Argument(help="Name of a benchmark, or `all`.")],
    as_json: AsJson = False,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the size.")] = False,
    peer: Annotated[
        str,
        typer.Option("--peer", help="For negotiate: `run` measures Eclipse EDC too, else its rates."),
    ] = "",
) -> None:
    """Measure, print figures against their floor and goals; exit code 1 when a goal is missed."""
    known = names()
    if not known:
        typer.secho("marketplace: benchmarks need the source tree: this installation has no tests", fg="red", err=True)
        raise typer.Exit(2)
    if name != "all" and name not in known:
        typer.secho(f"marketplace: no benchmark {name}; there are {', '.join(known)} and all", fg="red", err=True)
        raise typer.Exit(2)
    wanted = known if name == "all" else [name]
    more = {"negotiate": ["--peer", peer]} if peer else {}
    results = {one: _run(one, quick=quick, as_json=as_json, more=more.get(one, [])) for one in wanted}
    if as_json:
        typer.echo(json.dumps(results[name] if name != "all" else _all(results), ensure_ascii=False))
    raise typer.Exit(0 if all(one["met"] for one in results.values()) else _MISSED)


def names() -> list[str]:
    """The benchmarks of this source tree: modules that print figures when they are run."""
    return sorted(one.stem for one in FOLDER.glob("*.py") if "\n    main(measure" in one.read_text("utf-8"))


def _run(name: str, *, quick: bool, as_json: bool, more: Sequence[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *(["--quick"] if quick else []), *more]
    if not as_json:
        return {"met": subprocess.run(command, cwd=ROOT, check=False).returncode == 0}
    done = subprocess.run([*command, "--json"], cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode not in {0, _MISSED} or not done.stdout.strip():
        typer.secho(f"marketplace: the benchmark {name} broke off; read its message above", fg="red", err=True)
        raise typer.Exit(done.returncode or _MISSED)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _all(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The same shape, with the benchmarks under `figures`."""
    parts: dict[str, Any] = {part: {} for part in ("figures", "floor", "ratio", "goal")}
    for name, result in results.items():
        parts["figures"][name] = result["figures"]
        for part in ("floor", "ratio", "goal"):
            if result.get(part):
                parts[part][name] = result[part]
    return {"name": "all", **parts, "met": all(result["met"] for result in results.values())}
