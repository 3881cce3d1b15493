"""An object that was put is there after a power cut, and a put mends what was damaged under its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from marketplace.plumbing.storage import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files and folders that are made durable from now on, in order."""
    seen: list[str] = []
    real = os.fsync

    def note(handle: int) -> None:
        seen.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    return seen


@pytest.mark.parametrize("before", [0, 1], ids=["the first time", "the second time"])
def test_content_name_and_folder_are_durable_when_put_returns(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    for _ in range(before):
        store.put([b"slice"], limit=10)
    seen = synced(monkeypatch)
    path = store.local_path(store.put([b"slice"], limit=10).sha256)
    assert Path(seen[0]).parent == store.root / "incoming"
    assert [Path(one) for one in seen[1:]] == [path.parent, store.root]


def test_a_damaged_object_is_mended_by_putting_it_again(store: FolderStore) -> None:
    name = store.put([b"slice"], limit=10).sha256
    path = store.local_path(name)
    path.chmod(0o640)
    path.write_bytes(b"sl")
    assert store.put([b"sli", b"ce"], limit=10).sha256 == name
    assert b"".join(store.read(name)) == b"slice"
    assert list((store.root / "incoming").iterdir()) == []
