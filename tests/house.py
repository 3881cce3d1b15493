"""A small running house for tests: real parts, a story clock that stands still until it is moved, the seed cast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlmodel import Session

from marketplace.kernel.actor import Actor
from marketplace.kernel.clock import StoryClock
from marketplace.kernel.signing import SigningKey, generate_key
from marketplace.main import build_runtime
from marketplace.participants.models import Participant, ParticipantKey
from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import migrate
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.sandbox import ParsePool
from marketplace.settings import Settings
from seeds.cast import CAST, Part

DATABASE = "market.sqlite3"
START = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)


@dataclass(frozen=True)
class SeedParty:
    """A participant with its key, as only a test holds both."""

    id: str
    key: SigningKey
    actor: Actor


@dataclass
class House:
    """A runtime on a folder of its own."""

    runtime: Runtime
    clock: StoryClock
    cast: dict[str, SeedParty]

    def db(self) -> AbstractContextManager[Session]:
        """A write transaction that commits at its end, and only with an entry if it changes the domain."""
        return self.runtime.database.transaction()

    def arrange(self) -> AbstractContextManager[Session]:
        """A write transaction for rows that a test puts there by hand, without an entry."""
        return unrecorded(self.runtime)


@contextmanager
def unrecorded(runtime: Runtime) -> Iterator[Session]:
    """A write transaction past the guard of the log, as only a test has one."""
    database = Database(runtime.settings.effective_database_url)
    try:
        with database.transaction() as db:
            yield db
    finally:
        database.dispose()


@cache
def _key(name: str, algorithm: str) -> SigningKey:
    return generate_key(algorithm)


@cache
def _fresh_database() -> bytes:
    """A SQLite file at the newest revision, made once in a process: all migrations take longer than most tests."""
    with TemporaryDirectory() as folder:
        database = Database(Settings(data_folder=Path(folder)).effective_database_url)
        migrate(database)
        database.dispose()
        return (Path(folder) / DATABASE).read_bytes()


@cache
def _database_with_cast() -> bytes:
    """The same with the cast admitted by the keys of this process."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / DATABASE
        file.write_bytes(_fresh_database())
        _admit_cast(Settings(data_folder=Path(folder)))
        return file.read_bytes()


def bring_up(settings: Settings) -> None:
    """Give a house that has no database yet one at the newest revision."""
    if settings.database_url:
        database = Database(settings.effective_database_url)
        migrate(database)
        database.dispose()
    elif not (file := settings.data_folder / DATABASE).exists():
        settings.data_folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_fresh_database())


def _bring_up_with_cast(settings: Settings) -> None:
    file = settings.data_folder / DATABASE
    if settings.database_url or file.exists():
        bring_up(settings)
        _admit_cast(settings)
    else:
        settings.data_folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_database_with_cast())


class _KeptPool(ParsePool):
    """Children for untrusted files that outlive a house: to start one costs four times a house and its agreement.

    A child keeps nothing of the files it has read.
    """

    def close(self) -> None:
        """They end with the process of the tests, as their input does."""


@cache
def _parsers(workers: int, memory_mib: int, seconds: int) -> ParsePool:
    return _KeptPool(workers, memory_mib, seconds)


@contextmanager
def open_house(folder: Path, database_url: str = "") -> Iterator[House]:
    """Build a house in a folder."""
    clock = StoryClock(START)
    # A busy machine has a minute to answer itself; whoever tests a deadline sets its own.
    settings = Settings(data_folder=folder, database_url=database_url, parse_workers=1, outgoing_seconds=60)
    _bring_up_with_cast(settings)
    pool = _parsers(settings.parse_workers, settings.parse_memory_mib, settings.parse_seconds)
    runtime = replace(build_runtime(settings, clock), pool=pool)
    try:
        yield House(runtime, clock, {part.name: _party(part) for part in CAST})
    finally:
        runtime.close()


def _party(part: Part) -> SeedParty:
    key = _key(part.name, part.algorithm)
    actor = Actor(f"prt_{part.name}", frozenset(str(role) for role in part.roles), kid=key.kid)
    return SeedParty(actor.participant, key, actor)


def _admit_cast(settings: Settings) -> None:
    database = Database(settings.effective_database_url)
    try:
        with database.transaction() as db:
            for part in CAST:
                if db.get(Participant, _party(part).id) is None:  # a house that is opened again has its cast
                    _admit(db, part)
    finally:
        database.dispose()


def _admit(db: Session, part: Part) -> None:
    party = _party(part)
    db.add(
        Participant(
            id=party.id,
            legal_name=part.legal_name,
            legal_name_en=part.legal_name_en,
            credit_code=part.credit_code,
            kind=part.kind,
            roles=[str(role) for role in part.roles],
            licence_number=part.licence_number,
            verified_by="seed world",
            verification_method="example",
            verified_at=START,
            admitted_at=START,
            is_example=True,
        )
    )
    db.flush()
    key = party.key
    db.add(
        ParticipantKey(kid=key.kid, participant_id=party.id, jwk=key.public_jwk, alg=key.algorithm, valid_from=START)
    )
    db.flush()
