"""Reading untrusted tars from a stream."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.client.upload import tar_batches
from marketplace.collection.tar import MAX_MEMBERS, BrokenTar, Member, TarReader, TarTooLarge
from tests.collection import corpus


class Dripping:
    """A stream that gives what it likes, as a network does."""

    def __init__(self, body: bytes, seed: int = 1) -> None:
        self._file, self._dice = io.BytesIO(body), random.Random(seed)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, self._dice.randint(1, 700)))


def contents(body: bytes, limit: int = 1 << 30) -> list[tuple[Member, bytes]]:
    reader = TarReader(Dripping(body), limit=limit)
    return [(member, b"".join(reader.content())) for member in reader.members()]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_usual_form_is_read(form: int) -> None:
    long = "目录/" * 20 + "a.dcm" if form != tarfile.USTAR_FORMAT else "a/b.dcm"
    found = contents(corpus.tar([("one.dcm", b"x" * 513), (long, b""), ("three", b"y" * 512)], form))
    assert [(m.position, m.name, m.kind, body) for m, body in found] == [
        (0, "one.dcm", "file", b"x" * 513),
        (1, long, "file", b""),
        (2, "three", "file", b"y" * 512),
    ]


def test_unread_content_is_skipped() -> None:
    body = corpus.tar([("a", b"x" * 5000), ("b", b"y")])
    reader = TarReader(Dripping(body), limit=1 << 20)
    assert [member.name for member in reader.members()] == ["a", "b"]


def test_links_devices_and_folders_are_told_apart() -> None:
    members = [
        corpus.special("link", tarfile.SYMTYPE, "/etc/passwd"),
        corpus.special("hard", tarfile.LNKTYPE, "a"),
        corpus.special("device", tarfile.CHRTYPE),
        corpus.special("pipe", tarfile.FIFOTYPE),
        corpus.special("folder", tarfile.DIRTYPE),
    ]
    assert [m.kind for m, _ in contents(corpus.tar(members))] == ["link", "link", "other", "other", "folder"]


@pytest.mark.parametrize(
    "name", ["../up", "a/../../b", "/etc/passwd", "C:/x", "..\\x", "a\nb", "n" * 300, "a\x1b[2Jb", "\u202egpj.exe"]
)
def test_odd_names_are_noticed(name: str) -> None:
    assert contents(corpus.tar([(name, b"x")]))[0][0].has_odd_name


@pytest.mark.parametrize("name", ["a.dcm", "张伟/胸部 CT/IM0001", "..hidden", "a..b/c"])
def test_usual_names_are_not_odd(name: str) -> None:
    assert not contents(corpus.tar([(name, b"x")]))[0][0].has_odd_name


@pytest.mark.parametrize("cut", [100, 512, 700, 1024])
def test_a_tar_that_ends_too_early_is_broken(cut: int) -> None:
    with pytest.raises(BrokenTar):
        contents(corpus.tar([("a", b"x" * 900)], tarfile.USTAR_FORMAT)[:cut])


def test_other_bytes_are_no_tar() -> None:
    for body in (b"\x1f\x8b" + bytes(600), b"PK\x03\x04" * 300, b"x" * 2000):
        with pytest.raises(BrokenTar):
            contents(body)


def test_an_empty_tar_has_no_member() -> None:
    assert contents(corpus.tar([])) == contents(b"") == []


def test_a_huge_extension_record_is_refused_without_reading_it() -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = b"x", 1 << 32
    with pytest.raises(BrokenTar, match="extension"):
        contents(info.tobuf(tarfile.USTAR_FORMAT) + bytes(4096), limit=1 << 40)


def test_an_endless_row_of_extension_records_ends_at_the_limit() -> None:
    info = tarfile.TarInfo("x")
    info.type = b"g"
    with pytest.raises(TarTooLarge):
        contents(info.tobuf(tarfile.USTAR_FORMAT) * 3000, limit=1 << 20)


def test_more_bytes_than_allowed_are_refused_by_the_header_alone() -> None:
    info = tarfile.TarInfo("x")
    info.size = 1 << 32
    with pytest.raises(TarTooLarge):
        contents(info.tobuf(tarfile.USTAR_FORMAT), limit=1 << 20)


def test_too_many_members_are_refused() -> None:
    header = tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT)
    reader = TarReader(io.BytesIO(header * (MAX_MEMBERS + 1)), limit=1 << 30)
    with pytest.raises(TarTooLarge):
        list(reader.members())


@given(st.binary(max_size=2000), st.integers(0, 2000))
@settings(max_examples=150, deadline=None)
def test_no_bytes_raise_anything_but_our_own_errors(noise: bytes, place: int) -> None:
    body = bytearray(corpus.tar([("a", b"x" * 600), ("b" * 150, b"y")]))
    body[place : place + len(noise)] = noise
    try:
        found = contents(bytes(body), limit=1 << 20)
    except (BrokenTar, TarTooLarge):
        return
    assert [len(content) for _, content in found] == [member.size for member, _ in found]


def test_the_clients_tars_are_the_same_every_time_and_hold_no_name(tmp_path: Path) -> None:
    paths = []
    for number in range(7):
        path = tmp_path / f"张伟-{number}.dcm"
        path.write_bytes(bytes([number]) * 100 * (number + 1))
        paths.append(path)
    batches = list(tar_batches(paths, max_files=3, max_bytes=1100))
    assert [[path.name for path in batch.names] for batch in batches] == [
        [path.name for path in paths[:3]], [path.name for path in paths[3:5]], [paths[5].name], [paths[6].name]
    ]  # fmt: skip
    assert [batch.body for batch in tar_batches(paths, max_files=3, max_bytes=1100)] == [b.body for b in batches]
    assert all("张伟".encode() not in batch.body for batch in batches)
    read = [body for batch in batches for _, body in contents(batch.body)]
    assert read == [path.read_bytes() for path in paths]
