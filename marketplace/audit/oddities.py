"""Values of a type that their column cannot hold, which SQLite keeps and the service stumbles over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from sqlalchemy import JSON, Boolean, Column, Integer, LargeBinary, Table
from sqlmodel import Session, SQLModel

from marketplace.audit.seals import name_of_key
from marketplace.plumbing.db import UtcDateTime

OF_THE_LOG = frozenset({"entry", "log_tile", "log_checkpoint"})
"""These `fsck` reads value by value itself."""
_MOMENT = f"{'[0-9]' * 4}-{'-'.join(['[0-9]' * 2] * 2)} {':'.join(['[0-9]' * 2] * 3)}.{'[0-9]' * 6}"


def odd_values(db: Session, tables: Mapping[str, type[SQLModel]]) -> Iterator[tuple[str, str, list[str]]]:
    """(table, key, columns) of every row that holds what its columns cannot hold; PostgreSQL lets nobody store such.

    tables: models by name.
    """
    if db.get_bind().dialect.name != "sqlite":
        return
    for name in sorted(tables.keys() - OF_THE_LOG):
        table: Table = tables[name].__table__  # type: ignore[attr-defined]
        keys, columns = list(table.primary_key.columns), list(table.columns)
        fits = [_fits(one, tables[name]) for one in columns]
        wanted = ", ".join([*(f'"{one.name}"' for one in keys), *fits])
        statement = f'SELECT {wanted} FROM "{name}" WHERE NOT ({" AND ".join(fits)})'  # noqa: S608 - our own names
        for row in db.connection().exec_driver_sql(statement):
            odd = [one.name for one, fit in zip(columns, row[len(keys) :], strict=True) if not fit]
            yield *name_of_key(name, row[: len(keys)]), odd


def _fits(column: Column[Any], model: type[SQLModel]) -> str:
    """SQL that says whether a value is one of its column."""
    quoted = f'"{column.name}"'
    match column.type:
        case UtcDateTime():
            second = f"substr({quoted}, 1, 19)"  # the fraction would round up into the next second
            real = f"datetime({second}, '+0 days') IS {second}"
            fits = f"(typeof({quoted}) = 'text' AND {quoted} GLOB '{_MOMENT}' AND {real})"
        case JSON():
            known = (
                f"CASE json_valid({quoted}) WHEN 1 THEN json_type({quoted}) = '{_json_kind(model, column)}' ELSE 0 END"
            )
            fits = f"(CASE typeof({quoted}) WHEN 'text' THEN {known} ELSE 0 END)"
        case Boolean():
            fits = f"({quoted} IN (0, 1) AND typeof({quoted}) = 'integer')"
        case Integer():
            fits = f"typeof({quoted}) = 'integer'"
        case LargeBinary():
            fits = f"typeof({quoted}) = 'blob'"
        case _:
            fits = f"typeof({quoted}) = 'text'"
    return f"({quoted} IS NULL OR {fits})" if column.nullable else f"coalesce({fits}, 0)"


def _json_kind(model: type[SQLModel], column: Column[Any]) -> str:
    annotation = model.model_fields[column.name].annotation
    shapes = [get_origin(one) for one in (annotation, *get_args(annotation))]
    return "array" if next(one for one in shapes if one in (list, dict)) is list else "object"
