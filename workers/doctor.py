"""`marketplace doctor`: what an instance needs, and whether it is there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from marketplace.plumbing.db import Database
from marketplace.plumbing.migrations import is_current
from marketplace.settings import Settings

FREE_MIB = 500
_OTHER = "name the folder of an instance by --data, or make one there with `marketplace run`"
GIVEN_UP_SHOWN = 20


@dataclass(frozen=True)
class Finding:
    """One thing looked at, and what to do when it is not right."""

    name: str
    ok: bool
    words: str


def examine(data: Path) -> list[Finding]:
    """Look at everything an instance on this data folder needs; nothing is made where there is none."""
    settings = Settings(data_folder=data)
    looks: tuple[Callable[[Settings], Finding], ...] = (_python, _folder, _room, _database, _work, _policy, _parser)
    return [_look(look, settings) for look in looks]


def _look(look: Callable[[Settings], Finding], settings: Settings) -> Finding:
    try:
        return look(settings)
    except Exception as error:  # noqa: BLE001 - a doctor reports whatever is wrong
        return Finding(look.__name__.strip("_"), ok=False, words=f"{type(error).__name__}: {error}")


def _python(_settings: Settings) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", ok=sys.version_info >= (3, 11), words=f"{version}, 3.11 or newer is needed")


def _folder(settings: Settings) -> Finding:
    if not settings.data_folder.is_dir():
        return Finding("data folder", ok=False, words=f"{settings.data_folder} is no folder; {_OTHER}")
    probe = settings.data_folder / ".doctor"
    probe.write_text("")
    probe.unlink()
    return Finding("data folder", ok=True, words=f"{settings.data_folder} can be written")


def _room(settings: Settings) -> Finding:
    import shutil

    folder = settings.data_folder.absolute()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(there).free >> 20
    return Finding("disk", ok=free > FREE_MIB, words=f"{free:,} MiB free, at least {FREE_MIB} are needed")


def _database(settings: Settings) -> Finding:
    if absent := _absent(settings):
        return Finding("database", ok=False, words=f"there is no {absent}; {_OTHER}")
    database = Database(settings.effective_database_url)
    try:
        made = is_current(database)
    finally:
        database.dispose()
    words = "answers, schema present" if made else "answers, no schema yet: `marketplace run` or `migrate` makes it"
    return Finding("database", ok=True, words=words)


def _work(settings: Settings) -> Finding:
    from marketplace.plumbing import outbox

    if _absent(settings):
        return Finding("work", ok=False, words="without a database nobody knows")
    database = Database(settings.effective_database_url)
    try:
        with database.reading() as db:
            rows = outbox.given_up(db) if is_current(database) else []
    finally:
        database.dispose()
    if not rows:
        return Finding("work", ok=True, words="none was given up")
    named = "; ".join(f"{one.id} {one.task}: {one.last_error}" for one in rows[:GIVEN_UP_SHOWN])
    more = f" and {len(rows) - GIVEN_UP_SHOWN} more" if len(rows) > GIVEN_UP_SHOWN else ""
    return Finding("work", ok=False, words=f"given up, mend the cause, then `marketplace work retry`: {named}{more}")


def _absent(settings: Settings) -> Path | None:
    """The file that the database would be, where it is not there: to look for one must not make it."""
    url = make_url(settings.effective_database_url)
    file = Path(str(url.database))
    return file if url.get_backend_name() == "sqlite" and not file.is_file() else None


def _policy(settings: Settings) -> Finding:
    from marketplace.main import policy_engine

    revision = policy_engine(settings).revision
    return Finding("policy engine", ok=True, words=f"{settings.policy_engine}, revision {revision[:12]}")


def _parser(settings: Settings) -> Finding:
    from marketplace.plumbing.sandbox import ParsePool

    pool = ParsePool(1, settings.parse_memory_mib, settings.parse_seconds)
    pool.close()
    return Finding("parser children", ok=True, words=f"start, {settings.parse_memory_mib} MiB each")
