"""A consistent copy of a running embedded instance in one file, and the check of such a file.

The states and keys of log signer and witness are left out on purpose: whoever puts an old database back must not be
able to put the old heads back with it, so that the start-up guard notices (threat T8).  The service key and the
parties' keys are left out as well, since a backup travels.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from marketplace.commands.options import DATABASE, MARKET, AsJson, Data
from marketplace.kernel.errors import Conflict, DomainError, Unavailable
from marketplace.settings import Settings

MANIFEST = "manifest.json"
_OBJECT = re.compile(r"objects/([0-9a-f]{2})/([0-9a-f]{62})")
_CHUNK = 1 << 20


class NotEmbedded(Conflict):
    """This instance keeps its data in servers that have backups of their own."""


class ObjectChanged(Conflict):
    """A stored file no longer has its hash, so it must not enter a backup."""


class CopyUnfinished(Unavailable):
    """The copy of the database did not become one file."""


def write_backup(settings: Settings, out: Path, now: datetime) -> dict[str, Any]:
    """Write a backup; the file is whole and durable when it returns, and never half there.  Returns its manifest.

    The database is copied first and by its own online copy, the stored files after it: they are never changed, so
    every file that the copy names is there.  The service may go on working.  Raises NotEmbedded, ObjectChanged,
    CopyUnfinished.
    """
    if settings.database_url or settings.object_store_url:
        raise NotEmbedded(
            "only the embedded form has this backup",
            expected="SQLite and the object folder",
            got="a database server or an object store",
            action="use pg_dump and the versioning of the object store",
        )
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=out.parent) as folder:
        copy, fresh = Path(folder) / DATABASE, Path(folder) / "backup.tar"
        _copy_database(settings.data_folder / DATABASE, copy)
        files = {DATABASE: copy} | _objects(settings.data_folder / "objects")
        listed = [{"path": name, "sha256": _hash(path), "bytes": path.stat().st_size} for name, path in files.items()]
        manifest = {"v": 1, "made_at": now.isoformat(), "log": _log_of(copy), "files": listed}
        _require_unchanged(listed)
        _write_tar(fresh, files, json.dumps(manifest, indent=1).encode())
        fresh.replace(out)
        _sync_folder(out.parent)
    return manifest


def check_backup(file: Path) -> list[str]:
    """What is wrong with a backup, in words; an empty list when it can be restored.

    Every byte is hashed, the database is opened and checked, its log and rows are re-checked, and every stored file
    that the rows name must be in the backup.
    """
    try:
        with tarfile.open(file) as archive, tempfile.TemporaryDirectory(prefix="backup-check-") as folder:
            problems = list(_compare(archive, Path(folder)))
            return problems or list(_check_database(Path(folder)))
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        return [f"not a readable backup: {error}"]


def backup(
    out: Annotated[Path, typer.Option(help="The file to write; an older one is replaced once the new one is whole.")],
    data: Data = MARKET,
    as_json: AsJson = False,
) -> None:
    """Write a consistent copy of a running embedded instance to one file, and check it."""
    manifest = write_backup(Settings(data_folder=data), out, datetime.now(UTC))
    problems = check_backup(out)
    told = {"file": str(out), "files": len(manifest["files"]), "log": manifest["log"], "problems": problems}
    said = f"{out}: {told['files']} files, log of {manifest['log']['leaves']} entries"
    typer.echo(json.dumps(told) if as_json else "\n".join([said, *problems]))
    raise typer.Exit(1 if problems else 0)


def backup_check(file: Path, as_json: AsJson = False) -> None:
    """Check that a backup is whole and could be restored."""
    problems = check_backup(file)
    typer.echo(json.dumps(problems) if as_json else "\n".join(problems) or "the backup is whole")
    raise typer.Exit(1 if problems else 0)


def _copy_database(source: Path, target: Path) -> None:
    if not source.is_file():
        raise NotEmbedded("there is no database in this folder", got=str(source), action="give --data")
    with closing(sqlite3.connect(source)) as running, closing(sqlite3.connect(target)) as copy:
        running.backup(copy)
        # One plain file: a restored database must not need a second one.
        copy.execute("PRAGMA journal_mode=DELETE")
    beside = sorted(path.name for path in target.parent.iterdir() if path != target)
    # SQLite tells nobody when it cannot remove a journal, and whoever opens the copy next would roll it back.
    if beside:
        raise CopyUnfinished(
            "the copy of the database is not one file",
            expected=target.name,
            got=", ".join(beside),
            action="look whether the disk fails, then back up again",
        )


def _objects(folder: Path) -> dict[str, Path]:
    found = sorted(path for path in folder.glob("[0-9a-f][0-9a-f]/*") if path.is_file())
    return {f"objects/{path.parent.name}/{path.name}": path for path in found}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_unchanged(listed: list[dict[str, Any]]) -> None:
    for one in listed:
        named = _OBJECT.fullmatch(one["path"])
        if named and named[1] + named[2] != one["sha256"]:
            raise ObjectChanged(
                "a stored file no longer has its hash",
                expected=named[1] + named[2],
                got=one["sha256"],
                action="restore that file from an older backup, then back up again",
            )


def _log_of(database: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(f"file:{quote(str(database))}?immutable=1", uri=True)) as db:
        leaves = db.execute("SELECT count(*) FROM entry WHERE leaf_index IS NOT NULL").fetchone()[0]
        newest = db.execute("SELECT note FROM log_checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    return {"leaves": leaves, "checkpoint": newest[0] if newest else None}


def _write_tar(target: Path, files: dict[str, Path], manifest: bytes) -> None:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            described = tarfile.TarInfo(MANIFEST)
            described.size, described.mode = len(manifest), 0o600
            archive.addfile(described, io.BytesIO(manifest))
            for name, path in files.items():
                archive.add(path, name, recursive=False)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _compare(archive: tarfile.TarFile, folder: Path) -> Iterator[str]:
    """Members against the manifest; what fits is laid into the folder."""
    first = archive.next()
    if first is None or first.name != MANIFEST:
        yield "the manifest is missing"
        return
    manifest = json.loads(_stream(archive, first).read())
    expected = {one["path"]: one["sha256"] for one in manifest["files"]}
    while (member := archive.next()) is not None:
        if not member.isfile() or (member.name != DATABASE and not _OBJECT.fullmatch(member.name)):
            yield f"a member that no backup has: {member.name[:80]!r}"
            continue
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = _stream(archive, member)
        with target.open("wb") as file:
            while chunk := source.read(_CHUNK):
                file.write(chunk)
        if expected.pop(member.name, None) != _hash(target):
            yield f"{member.name} is not what the manifest lists"
    for name in expected:
        yield f"{name} is missing"


def _stream(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    stream = archive.extractfile(member)
    if stream is None:
        raise ValueError(f"{member.name} is no file")
    return stream


def _check_database(folder: Path) -> Iterator[str]:
    from marketplace.audit.fsck import fsck
    from marketplace.commands.recheck import recheck
    from marketplace.plumbing.db import Database
    from marketplace.plumbing.storage import FolderStore

    with closing(sqlite3.connect(folder / DATABASE)) as db:
        sound = db.execute("PRAGMA integrity_check").fetchone()[0]
    if sound != "ok":
        yield f"the database is damaged: {sound}"
        return
    database = Database(f"sqlite:///{folder / DATABASE}")
    try:
        with database.reading() as session:
            yield from (f"log: {one.kind} at {one.index}: {one.detail}" for one in fsck(session).findings)
            rows = recheck(session, FolderStore(folder / "objects"))
            yield from (f"{one.table} {one.key}: {one.detail}" for one in rows)
    except DomainError as error:
        yield f"the log cannot be read: {error}"
    finally:
        database.dispose()
