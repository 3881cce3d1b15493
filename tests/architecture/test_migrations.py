"""The migrations make exactly the schema that the models describe."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlmodel import SQLModel

from marketplace.migrations import tables
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import alembic_config, is_current, migrate


def database(folder: Path) -> Database:
    return Database(f"sqlite:///{folder / 'empty.sqlite3'}")


def test_an_empty_database_gets_exactly_the_schema_of_the_models(tmp_path: Path) -> None:
    assert tables.ALL
    empty = database(tmp_path)
    try:
        assert not is_current(empty)
        migrate(empty)
        with empty.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, SQLModel.metadata) == []
        made = set(inspect(empty.engine).get_table_names()) - {"alembic_version"}
        assert made == set(SQLModel.metadata.tables)
    finally:
        empty.dispose()


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    empty = database(tmp_path)
    try:
        migrate(empty)
        first = _schema(empty)
        migrate(empty)
        assert _schema(empty) == first
        assert is_current(empty)
    finally:
        empty.dispose()


def test_the_revisions_are_one_line_and_each_says_what_it_does(tmp_path: Path) -> None:
    empty = database(tmp_path)
    try:
        script = ScriptDirectory.from_config(alembic_config(empty))
        assert len(script.get_heads()) == 1
        for revision in script.walk_revisions():
            assert revision.doc
            assert not revision.is_branch_point
        command.current(alembic_config(empty))
    finally:
        empty.dispose()


def _schema(found: Database) -> list[tuple[str, str]]:
    with found.engine.connect() as connection:
        rows = connection.execute(text("SELECT name, coalesce(sql, '') FROM sqlite_master ORDER BY type, name"))
        return [(row[0], row[1]) for row in rows]
