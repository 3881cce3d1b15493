"""Bringing a database to the present schema with Alembic; safe to run on every start."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

from marketplace.plumbing.db import Database

SCRIPTS = Path(__file__).resolve().parent.parent / "migrations"


def alembic_config(database: Database) -> Config:
    """Alembic's settings for a database, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["engine"] = database.engine
    return config


def migrate(database: Database) -> None:
    """Upgrade to the newest revision."""
    command.upgrade(alembic_config(database), "head")


def is_current(database: Database) -> bool:
    """Whether the schema has been created at all and carries a revision."""
    return inspect(database.engine).has_table("alembic_version")
