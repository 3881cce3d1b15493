"""The check page tells what holds from what does not, and cannot be used against the service."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from marketplace.console import bundles
from marketplace.registration.models import Certificate
from tests.console.conftest import Site
from tests.console.reading import Page
from tests.house import unrecorded


def _upload(site: Site, content: bytes, language: str = "en") -> tuple[int, str]:
    answer = site.browser.post("/verify", params={"lang": language}, files={"file": ("bundle.json", content)})
    return answer.status_code, Page(answer.text).text


def test_a_certificate_is_found_by_code_and_by_hash_of_document_or_root(site: Site) -> None:
    with site.runtime.database.reading() as db:
        found = db.get(Certificate, site.told.result["certificate"]["code"])
        assert found is not None
        keys = [found.code, found.code.lower(), found.document, found.root, f" {found.root.upper()} "]
    for asked in keys:
        text = Page(site.page("/verify", params={"code": asked, "lang": "en"})).text
        assert "This certificate is valid." in text, asked
        assert found.code in text
        assert "right to operate" in text


@pytest.mark.parametrize("asked", ["SJ0000000000000", "0" * 64, "<b>", "x" * 4000, "\u0001"])
def test_an_unknown_code_is_said_to_be_unknown(site: Site, asked: str) -> None:
    text = Page(site.page("/verify", params={"code": asked, "lang": "en"})).text
    assert "No certificate has this code or hash." in text
    assert "valid." not in text


def test_a_suspended_certificate_is_not_called_valid(site: Site) -> None:
    code = site.told.result["certificate"]["code"]
    with unrecorded(site.runtime) as db:
        db.get(Certificate, code).state = "suspended"
    try:
        page = Page(site.page("/verify", params={"code": code, "lang": "en"}))
        assert "This certificate is suspended." in page.text
        assert any(one.get("class") == "outcome bad" for one in page.named("section"))
    finally:
        with unrecorded(site.runtime) as db:
            db.get(Certificate, code).state = "valid"


@pytest.mark.parametrize(("language", "words"), [("en", "Everything in it holds."), ("zh", "全部通过。")])
def test_a_genuine_bundle_holds(site: Site, language: str, words: str) -> None:
    status, text = _upload(site, site.told.bundle, language)
    assert status == 200
    assert words in text
    assert "does not hold" not in text
    # The page checks with this log's own keys, not with those that the file brings along.
    assert "key was taken from the bundle" not in text


def test_a_changed_bundle_does_not_hold(site: Site) -> None:
    changed = site.told.bundle.replace(b"usage:allowed", b"usage:refused", 1)
    assert changed != site.told.bundle
    status, text = _upload(site, changed)
    assert status == 200
    assert "Something does not hold." in text
    assert "Everything in it holds." not in text


def test_a_bundle_that_brings_its_own_keys_does_not_hold(site: Site) -> None:
    bundle = json.loads(site.told.bundle)
    text = json.dumps(bundle)
    keys = site.browser.get("/log/keys").json()
    assert keys["log"] in text
    other = keys["log"][:-6] + "AAAAA="
    status, words = _upload(site, text.replace(keys["log"], other).encode())
    assert status == 200
    # A key inside the file decides nothing; the signatures still are this log's own.
    assert "Everything in it holds." in words


@pytest.mark.parametrize("content", [b"not json", b"{}", b"[" * 100_000, b"\x00" * 1000, b'{"entries": 1e999}'])
def test_what_is_not_a_bundle_is_not_called_genuine(site: Site, content: bytes) -> None:
    status, text = _upload(site, content)
    assert status == 200
    assert "holds." not in text
    assert "This is not a bundle that can be read." in text


def test_no_file_and_no_form_are_answered_with_the_page(site: Site) -> None:
    empty = site.browser.post("/verify?lang=en", files={"file": ("bundle.json", b"")})
    plain = site.browser.post("/verify?lang=en", content=b"{}")
    other = site.browser.post("/verify?lang=en", data={"file": "text"}, files={"extra": ("a", b"b")})
    broken = site.browser.post(
        "/verify?lang=en", content=b"--x\r\nnonsense", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    for answer in (empty, plain, other, broken):
        assert answer.status_code == 400
        assert "Choose a file first." in answer.text


def test_a_file_over_the_limit_is_refused_before_it_is_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "LIMIT", 1000)
    monkeypatch.setattr(bundles, "MARGIN", 500)
    for size in (1001, 5000):
        status, text = _upload(site, b"x" * size)
        assert status == 413, size
        assert "larger than this page accepts" in text

    def unannounced() -> Iterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
        yield from (b"x" * 500 for _ in range(8))

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = site.browser.post("/verify?lang=en", content=unannounced(), headers=headers)
    assert "content-length" not in answer.request.headers
    assert answer.status_code == 413


def test_only_so_many_files_are_checked_at_once(site: Site) -> None:
    taken = [bundles._PLACES.acquire(blocking=False) for _ in range(bundles.AT_ONCE)]
    assert all(taken)
    try:
        status, text = _upload(site, site.told.bundle)
        assert status == 503
        assert "Try again in a minute." in text
    finally:
        for _ in taken:
            bundles._PLACES.release()
    assert _upload(site, site.told.bundle)[0] == 200


def test_the_verifier_gets_none_of_the_service_settings(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETPLACE_DATABASE_PASSWORD", "secret")
    seen = {}
    real = bundles.subprocess.run

    def watched(command: list[str], **options: object) -> object:
        seen.update(options["env"])  # type: ignore[call-overload]
        return real(command, **options)

    monkeypatch.setattr(bundles.subprocess, "run", watched)
    assert _upload(site, site.told.bundle)[0] == 200
    assert seen
    assert not [name for name in seen if name.startswith("MARKETPLACE_")]
