"""Alembic environment: one engine given by the caller, every model imported."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Engine, text
from sqlmodel import SQLModel

from marketplace.migrations import tables

assert tables.ALL  # importing it fills SQLModel.metadata


def run() -> None:
    """Run the pending revisions in one transaction."""
    engine: Engine = context.config.attributes["engine"]
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET lock_timeout = '4s'"))
        context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
