"""A name that a caller sends opens nothing but what it names (T29): 300 names at every place that takes one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from marketplace.client.api import ApiClient
from marketplace.kernel.errors import DomainError
from marketplace.plumbing.storage import FolderStore
from tests.collection import corpus as collected
from tests.hostile.paths import CANARY, corpus
from tests.hostile.story import Story, open_story, roll_agreement
from tests.usage.agreed import dicom

NAMES = list(corpus())
SECRET = "what the canary says"
_watched: list[set[str]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watched:
        path = arguments[0]
        _watched[-1].add(path.decode("utf-8", "replace") if isinstance(path, bytes) else str(path))


sys.addaudithook(_hook)


@contextmanager
def opened() -> Iterator[set[str]]:
    """The paths that this process opens meanwhile."""
    _watched.append(set())
    try:
        yield _watched[-1]
    finally:
        _watched.pop()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("paths")
    for place in (folder, folder / "house", folder / "house" / "objects"):
        place.mkdir(exist_ok=True)
        (place / CANARY).write_text(SECRET)
    with open_story(folder / "house") as opened_story:
        roll_agreement(opened_story, "signed_by_buyer")
        roll_agreement(opened_story, "finalized")
        yield opened_story


def test_there_are_three_hundred_names() -> None:
    assert len(NAMES) >= 300


def test_the_object_store_opens_nothing_by_another_name_than_a_hash(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects")
    (tmp_path / CANARY).write_text(SECRET)
    (tmp_path / "objects" / CANARY).write_text(SECRET)
    kept = store.put([b"x"], limit=10).sha256
    with opened() as paths:
        for name in (*NAMES, kept.upper(), kept[:-1], kept + "0", f"{kept[:2]}/{kept[2:]}", f"../{kept}"):
            for use in (store.has, store.size, store.local_path, lambda one: b"".join(store.read(one))):
                with suppress(DomainError):
                    assert use(name) is False
    assert paths == set()
    assert b"".join(store.read(kept)) == b"x"


# Each address takes a name; {} is where it stands.
PLACES = {
    "one file of a delivery": "/v1/agreements/{agreement_id}/data/{}",
    "a tile": "/log/tile/0/{}",
    "a tile's level": "/log/tile/{}/000",
    "a batch": "/v1/versions/{draft_version}/files/{}",
    "a document": "/v1/documents/{}",
    "an asset": "/v1/assets/{}",
    "a certificate": "/v1/certificates/{}",
    "an entry": "/v1/entries/{}",
    "a static file": "/static/{}",
    "a page": "/{}",
}


DEEP = {"one file of a delivery", "a tile", "a static file", "a page"}


@pytest.mark.parametrize("place", PLACES)
def test_no_name_in_an_address_leads_elsewhere(story: Story, place: str) -> None:
    buyer, owner = story.clients["buyer"], story.clients["owner"]
    assert buyer is not None
    assert owner is not None
    put = place == "a batch"
    client = owner if put else buyer
    ask(client, "GET", "/v1/assets")  # what is opened once is opened before
    before = {path.name for path in story.house.runtime.settings.data_folder.iterdir()}
    with opened() as paths:
        for name in NAMES:
            for safe in ("", "/%\\:;,.") if place in DEEP else ("",):
                text = PLACES[place].replace("{}", quote(name, safe=safe, errors="surrogatepass"))
                for parameter in ("agreement_id", "draft_version"):
                    text = text.replace(f"{{{parameter}}}", story.ids[parameter])
                body = {"params": {"purpose": "model_training"}, "content": collected.tar([]) if put else None}
                status, said = ask(client, "PUT" if put else "GET", text, **body)
                assert status < 500, (name, status, said[:300])
                assert SECRET not in said, name
                if "\0" in name or "%00" in name:
                    assert status in {404, 405, 422, 400}, (name, status)
    assert [path for path in paths if CANARY in path or path.endswith(("passwd", ".pem", "environ"))] == []
    assert {path.name for path in story.house.runtime.settings.data_folder.iterdir()} - before <= {"incoming"}


def ask(client: ApiClient, method: str, path: str, **parts: object) -> tuple[int, str]:
    answer = client._open(method, path, **parts)
    try:
        answer.read()
        return answer.status_code, answer.text
    finally:
        answer.close()


def test_names_within_a_tar_are_neither_used_nor_kept(story: Story) -> None:
    owner, folder = story.clients["owner"], story.house.runtime.settings.data_folder
    assert owner is not None
    names = [name for name in NAMES if "\0" not in name and "\ud800" not in name and "\udfff" not in name]
    before = set(folder.rglob("*"))
    members = [(name, dicom(number)) for number, name in enumerate(names)]
    with opened() as paths:
        path = f"/v1/versions/{story.ids['draft_version']}/files/names"
        status, said = ask(owner, "PUT", path, content=collected.tar(members))
    assert status == 200, said[:300]
    assert SECRET not in said
    written = {Path(one) for one in paths if one.startswith("/")}
    assert [one for one in written if CANARY in one.name or one.name in {"passwd", "environ"}] == []
    assert {one.read_text() for one in folder.parent.rglob(CANARY)} == {SECRET}
    fresh = [one.name for one in set(folder.rglob("*")) - before if one.is_file()]
    assert [name for name in fresh if not re.fullmatch(r"[0-9a-f]{62,64}", name)] == []
