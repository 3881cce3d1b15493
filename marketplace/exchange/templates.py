"""Contract templates of `contracts/terms/<name>/v1`: machine part, parameter schema, clauses in two languages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from marketplace.exchange.parameters import check_parameters
from marketplace.exchange.terms import CONTRACTS
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid, shown

LANGUAGES = ("zh", "en")


class UnknownTemplate(Invalid):
    """No contract template of this name."""


@dataclass(frozen=True)
class Template:
    """One template version.  name: `research-use/v1`; offer: ODRL with `$parameter` places and items that only stand
    `$when` an optional parameter is given; clauses: by language, each {title, clauses: [{id, title, text}]} with the
    same clause ids."""

    name: str
    offer: Json
    schema: Json
    clauses: dict[str, Json]

    @property
    def every_term(self) -> Json:
        """The offer with all its optional terms, places as they are."""
        whole: Json = _unwrapped(self.offer)
        return whole


@cache
def templates() -> dict[str, Template]:
    """All templates by name.  Names come from our own folder; what a client sends is only looked up here."""
    folders = sorted((CONTRACTS / "terms").glob("*/v*/"))
    return {one.name: one for one in map(_read, folders)}


def template(name: str) -> Template:
    """One template.  Raises UnknownTemplate."""
    known = templates()
    if name not in known:
        raise UnknownTemplate("no contract template of this name", expected=" or ".join(known), got=shown(name))
    return known[name]


def render_uses(chosen: Template, parameters: Json, asset_id: str) -> Json:
    """The ODRL offer of a template with parameters put in.  Raises BadParameters."""
    check_parameters(chosen.schema, parameters)
    rendered: Json = _fill(chosen.offer, parameters | {"asset": asset_id})
    return rendered


def _read(folder: Path) -> Template:
    def load(name: str) -> Json:
        content: Json = json.loads((folder / name).read_text("utf-8"))
        return content

    return Template(
        name=f"{folder.parent.name}/{folder.name}",
        offer=load("offer.odrl.json"),
        schema=load("parameters.schema.json"),
        clauses={language: load(f"clauses.{language}.json") for language in LANGUAGES},
    )


def _unwrapped(node: Any) -> Any:
    match node:
        case {"$when": _, "$then": then}:
            return _unwrapped(then)
        case dict():
            return {key: _unwrapped(child) for key, child in node.items()}
        case list():
            return [_unwrapped(child) for child in node]
        case _:
            return node


def _wanted(items: list[Any], values: Json) -> list[Any]:
    """The items of a list without those that belong to an optional parameter which is not given."""
    plain = [one if isinstance(one, dict) else {} for one in items]
    return [
        whole.get("$then", one)
        for one, whole in zip(items, plain, strict=True)
        if "$when" not in whole or whole["$when"] in values
    ]


def _fill(node: Any, values: Json) -> Any:
    match node:
        case {"$parameter": name, **rest} if not rest:
            return values[name]
        case {"$days": name, **rest} if not rest:
            return f"P{values[name]}D"
        case dict():
            return {key: _fill(child, values) for key, child in node.items()}
        case list():
            return [_fill(child, values) for child in _wanted(node, values)]
        case _:
            return node
