"""Parameters of contract templates, checked against the small part of JSON Schema that the templates use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Invalid, shown

KEYWORDS = frozenset(
    {"$schema", "title", "description", "type", "properties", "required", "additionalProperties", "items"}
    | {"minItems", "uniqueItems", "enum", "pattern", "minimum", "maximum"}
)


class BadParameters(Invalid):
    """The parameters do not fit the contract template."""


def check_parameters(schema: Json, parameters: Any) -> None:
    """Check parameters against a template's schema.  Raises BadParameters at the first misfit."""
    for pointer, expected, got in misfits(schema, parameters, ""):
        raise BadParameters(
            f"parameter {pointer or '/'} does not fit the template",
            expected=expected,
            got=shown(got) if isinstance(got, str) else type(got).__name__,
            action="see parameters.schema.json of the template at GET /v1/terms",
        )


def misfits(schema: Json, value: Any, at: str) -> Iterator[tuple[str, str, Any]]:
    """(pointer, expected, got) of every misfit.  Raises ValueError for a keyword this reader does not know."""
    if unknown := set(schema) - KEYWORDS:
        raise ValueError(f"template schema uses {sorted(unknown)}, which this service does not read")
    yield from _TYPES[schema["type"]](schema, value, at)


def _object(schema: Json, value: Any, at: str) -> Iterator[tuple[str, str, Any]]:
    if not isinstance(value, dict):
        yield at, "an object", value
        return
    for name in schema["required"]:
        if name not in value:
            yield f"{at}/{name}", "present", None
    for name, one in value.items():
        if name in schema["properties"]:
            yield from misfits(schema["properties"][name], one, f"{at}/{name}")
        else:
            yield f"{at}/{name}", "one of " + ", ".join(schema["properties"]), name


def _array(schema: Json, value: Any, at: str) -> Iterator[tuple[str, str, Any]]:
    if not isinstance(value, list) or len(value) < schema.get("minItems", 0):
        yield at, f"a list of at least {schema.get('minItems', 0)}", value
        return
    if schema.get("uniqueItems") and len({json.dumps(one, sort_keys=True) for one in value}) != len(value):
        yield at, "different values", value
    for place, one in enumerate(value):
        yield from misfits(schema["items"], one, f"{at}/{place}")


def _string(schema: Json, value: Any, at: str) -> Iterator[tuple[str, str, Any]]:
    if not isinstance(value, str):
        yield at, "a string", value
    elif "enum" in schema and value not in schema["enum"]:
        yield at, "one of " + ", ".join(schema["enum"]), value
    elif "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        yield at, f"text of the form {schema['pattern']}", value


def _integer(schema: Json, value: Any, at: str) -> Iterator[tuple[str, str, Any]]:
    if not isinstance(value, int) or isinstance(value, bool):
        yield at, "a whole number", value
    elif not schema["minimum"] <= value <= schema["maximum"]:
        yield at, f"{schema['minimum']} to {schema['maximum']}", value


_TYPES: dict[str, Callable[[Json, Any, str], Iterator[tuple[str, str, Any]]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
}
