"""What the commands share: their common options, a client over the public API, one way of printing an answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from marketplace.settings import Settings

Data = Annotated[Path, typer.Option("--data", help="Folder of this instance.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Url = Annotated[str, typer.Option(envvar="MARKETPLACE_URL", help="Address of the service.")]
Party = Annotated[Path, typer.Option("--as", envvar="MARKETPLACE_PARTY", help="Your own folder with key and id.")]

MARKET = Path("var/market")
DATABASE = "market.sqlite3"
HERE = "http://127.0.0.1:8000"


@contextmanager
def client_of(url: str, party: Path) -> Iterator[Any]:
    """A client that speaks as the party of a folder; the environment may name the person who acts for it."""
    from marketplace.client.api import connect

    with connect(url, party, person=os.environ.get("MARKETPLACE_PERSON") or None) as client:
        yield client


def read_json(file: Path) -> Any:
    """What a JSON file of the caller holds.  Raises OSError, BadParameter."""
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}") from error


def settings_of(data: Path) -> Settings:
    """The settings of the instance in a folder.  Raises BadParameter where there is none; nothing is made there."""
    from marketplace.settings import Settings

    settings = Settings(data_folder=data)
    if not settings.database_url and not (data / DATABASE).is_file():
        got = f"without {DATABASE}" if data.is_dir() else "no such folder"
        raise typer.BadParameter(
            f"{data} holds no instance (expected a folder with {DATABASE}, got {got}); "
            "name the folder that `marketplace serve` is given; `marketplace run` makes one",
            param_hint="--data",
        )
    return settings


def show(answer: Any, as_json: bool) -> None:
    """Print an answer, as lines for people or as JSON."""
    if as_json or not isinstance(answer, dict):
        typer.echo(json.dumps(answer, ensure_ascii=False))
    else:
        typer.echo("\n".join(_lines(answer)))


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    """A line for each member; below the name of a list of objects or of an object its own lines, set in."""
    for name, value in answer.items():
        parts = [value] if isinstance(value, dict) else value if isinstance(value, list) else []
        if parts and all(isinstance(one, dict) and one for one in parts):
            yield name
            for part in parts:
                yield from (f"{mark} {line}" for mark, line in zip(chain("-", repeat(" ")), _lines(part), strict=False))
        else:
            yield f"{name:<20} {_words(value)}"


def _words(value: Any) -> str:
    match value:
        case None | "" | [] | {}:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_words, value))
        case dict():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)
