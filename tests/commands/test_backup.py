"""A backup is whole or absent, holds what the rows name and nothing that would hide an old database."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.commands.backup import NotEmbedded, ObjectChanged, check_backup, write_backup
from marketplace.settings import Settings
from tests.house import House
from tests.usage.agreed import agree


@pytest.fixture
def kept(house: House) -> House:
    with house.db() as db:
        record(db, house.cast["operator"].actor, Tag.ASSET_REGISTERED, house.clock.now())
        documents.keep(db, "opinion", {"outcome": "PASS"}, house.clock.now())
    house.runtime.store.put([b"scan"], limit=10)
    return house


def back_up(house: House, out: Path) -> list[str]:
    write_backup(house.runtime.settings, out, house.clock.now())
    with tarfile.open(out) as archive:
        return archive.getnames()


def test_a_backup_of_a_running_instance_is_whole(kept: House, tmp_path: Path) -> None:
    out = tmp_path / "backup.tar"
    names = back_up(kept, out)
    assert names[:2] == ["manifest.json", "market.sqlite3"]
    assert [name for name in names if name.startswith("objects/")] != []
    # The house admits its cast by rows alone, which the re-check of rows names.
    assert [one for one in check_backup(out) if not one.startswith("participant")] == []
    assert out.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.glob(".backup-*")] == []


def test_neither_heads_nor_keys_enter_it(kept: House, tmp_path: Path) -> None:
    folder = kept.runtime.settings.data_folder
    for name in ("log-signer/state.json", "witness/key.pem"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("held")
    names = back_up(kept, tmp_path / "backup.tar")
    assert (folder / "service-key.pem").is_file()
    assert not [name for name in names if "key" in name or "signer" in name or "witness" in name]


def test_a_stored_file_that_changed_stops_the_backup_and_the_older_one_stays(kept: House, tmp_path: Path) -> None:
    out = tmp_path / "backup.tar"
    back_up(kept, out)
    before = out.read_bytes()
    damaged = next((kept.runtime.settings.data_folder / "objects").glob("[0-9a-f][0-9a-f]/*"))
    damaged.chmod(0o600)
    damaged.write_bytes(b"another")
    with pytest.raises(ObjectChanged):
        back_up(kept, out)
    assert out.read_bytes() == before


def test_a_backup_that_was_cut_off_or_changed_is_named(kept: House, tmp_path: Path) -> None:
    out, cut, changed = tmp_path / "backup.tar", tmp_path / "cut.tar", tmp_path / "changed.tar"
    back_up(kept, out)
    cut.write_bytes(out.read_bytes()[:100_000])
    assert check_backup(cut)
    with tarfile.open(out) as source, tarfile.open(changed, "w") as target:
        for member in source:
            stream = source.extractfile(member)
            assert stream is not None
            body = stream.read()
            if member.name.startswith("objects/"):
                body, member.size = b"other", 5
            target.addfile(member, io.BytesIO(body))
    assert [one for one in check_backup(changed) if "is not what the manifest lists" in one]


def test_a_member_that_would_leave_the_folder_is_refused(kept: House, tmp_path: Path) -> None:
    out = tmp_path / "backup.tar"
    back_up(kept, out)
    with tarfile.open(out, "a") as archive:
        member = tarfile.TarInfo("../outside")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    assert check_backup(out) == ["a member that no backup has: '../outside'"]
    assert not (tmp_path.parent / "outside").exists()


def test_a_row_that_names_a_file_which_is_not_there_is_named(house: House, tmp_path: Path) -> None:
    agree(house)
    for path in (house.runtime.settings.data_folder / "objects").glob("[0-9a-f][0-9a-f]/*"):
        path.unlink()
    back_up(house, tmp_path / "backup.tar")
    assert [one for one in check_backup(tmp_path / "backup.tar") if "the object is missing" in one]


def test_servers_have_backups_of_their_own(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path, database_url="postgresql://market@127.0.0.1/market")
    with pytest.raises(NotEmbedded, match="pg_dump"):
        write_backup(settings, tmp_path / "backup.tar", None)  # type: ignore[arg-type]
