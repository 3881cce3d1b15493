"""One engine, explicit transactions, UTC timestamps; the same tables on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Dialect, Engine, Executable, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool
from sqlalchemy.types import JSON, DateTime, TypeDecorator
from sqlmodel import Session, SQLModel

from marketplace.plumbing import sqlite
from marketplace.plumbing.bell import ASKED, BELL, Bell
from marketplace.plumbing.groupcommit import GroupCommit
from marketplace.plumbing.prompt import TAKER, Taker
from marketplace.plumbing.units import SavepointConnection

# Names of constraints are part of the migrations, so they are fixed before any model is defined.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware UTC moment on every database; naive values are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive moment {value.isoformat()}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


R = TypeVar("R")
JsonColumn = JSON(none_as_null=True)


def rows_of(db: Session, statement: Executable, **values: Any) -> Sequence[Any]:
    """The rows of a statement of columns with lists among its parameters, made once: at a third of making it each time.

    Without lists, `questions.Question` costs less.  values: of its bound parameters.
    What the session has pending is written first, as before any query.
    """
    db._autoflush()
    return db.connection().execute(statement, values).all()


class Database:
    """The engine and its transactions.  Nobody below the edge commits.

    session_class: of every session, so that an upper room can watch what a transaction changes.
    bell: rings when a transaction of this process has asked for work, or moved what somebody waits for.
    taker: begins such work at the commit of a `PromptSession` that asks for it, None = nobody does.
    """

    def __init__(self, url: str, *, pool_size: int = 12, session_class: type[Session] = Session) -> None:
        self.url = make_url(url)
        self._session_class = session_class
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._turn = sqlite.Turn()
        self.bell = Bell()
        self.taker: Taker | None = None
        self.engine = self._sqlite_engine(pool_size) if self.is_sqlite else self._postgresql_engine(pool_size)
        self._bound = {write: self._bind(write=write) for write in (False, True)}
        self.groups = self._group_commit() if self.is_sqlite and self.url.database else None

    # Parameters stay out of errors, because errors are logged and kept with outbox rows.
    def _postgresql_engine(self, pool_size: int) -> Engine:
        url = self.url.set(drivername="postgresql+psycopg")
        return create_engine(url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True, hide_parameters=True)

    def _sqlite_engine(self, pool_size: int) -> Engine:
        if self.url.database:
            Path(self.url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            connect_args={"check_same_thread": False, "factory": sqlite.Connection},
            hide_parameters=True,
        )
        event.listen(engine, "connect", sqlite.configure)
        event.listen(engine, "begin", self._begin_sqlite)
        return engine

    def _bind(self, *, write: bool) -> Engine:
        bind = self.engine.execution_options(marketplace_write=write)
        if write or self.is_sqlite:
            return bind
        # In READ COMMITTED a stop between two statements shows its epoch beside facts from before it.
        return bind.execution_options(isolation_level="REPEATABLE READ")

    def _begin_sqlite(self, connection: Connection) -> None:
        if not connection.get_execution_options().get("marketplace_write", True):
            sqlite.begin_bare(connection, "BEGIN")
            return
        driver = cast("sqlite.Connection", connection.connection.driver_connection)
        driver.take(self._turn)
        try:
            sqlite.begin_bare(connection, "BEGIN IMMEDIATE")
        except BaseException:
            driver.give_back()
            raise

    def _group_commit(self) -> GroupCommit:
        engine = create_engine(
            self.url,
            poolclass=NullPool,
            pool_reset_on_return=None,
            connect_args={"check_same_thread": False, "factory": SavepointConnection},
            hide_parameters=True,
        )
        event.listen(engine, "connect", sqlite.configure)
        return GroupCommit(engine, self._turn, self._session_class)

    def session(self, *, write: bool) -> Session:
        """A session whose transaction starts at its first statement.

        write: SQLite takes its write lock at once (BEGIN IMMEDIATE), so that what was read cannot change; what only
        reads sees one state of the database from its first statement on.
        """
        bind = self._bound[write]
        return self._session_class(
            bind, expire_on_commit=False, autoflush=True, info={BELL: self.bell, TAKER: self.taker}
        )

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A write transaction for work outside a request: commits at the end, rolls back on an error."""
        with self.session(write=True) as session:
            yield session
            session.commit()

    def grouped(self, work: Callable[[Session], R]) -> R:
        """Run work in a write transaction that may share its commit with other callers' units; return its result.

        Each unit is whole or absent; the result, or work's own exception, comes after the shared commit is durable.
        On PostgreSQL, whose server groups commits by itself, a transaction of its own.
        """
        if self.groups is not None:
            topics = set[str]()

            def watched(session: Session) -> R:
                result = work(session)
                topics.update(session.info.get(ASKED, ()))
                return result

            result = self.groups.run(watched)
            if topics:
                self.bell.ring(topics)
            return result
        with self.transaction() as session:
            return work(session)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A read transaction."""
        with self.session(write=False) as session:
            yield session

    def dispose(self) -> None:
        if self.groups is not None:
            self.groups.close()
        self.engine.dispose()
