"""What the keepers of an instance do: its service key is replaced, its log is watched while it serves."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import col, select
from typer.testing import CliRunner

from marketplace.audit import documents
from marketplace.audit.client import LogRefused
from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.audit.queries import service_keys
from marketplace.audit.service import LogBehind
from marketplace.cli import app as command_line
from marketplace.kernel.canonical import read_strictly
from marketplace.kernel.clock import StoryClock
from marketplace.main import create_app
from marketplace.participants.servicekeys import ServiceKeyRevoked
from marketplace.plumbing.servicekey import NEXT_FILE, RotationUnfinished
from marketplace.settings import Settings
from marketplace.transfer.delivery import prepare
from marketplace.transfer.making import agreement_secret
from tests.harness.restore import settle
from tests.house import START
from tests.transfer.doors import app_of, entries
from tests.usage.agreed import agree
from workers import recovery
from workers.instance import FolderInUse, one_of_many, open_instance, register_service_key, watched

DATA = "/v1/agreements/agr_1/data"


def test_a_new_service_key_follows_by_a_statement_of_the_old_one(tmp_path: Path) -> None:
    settings, clock = Settings(data_folder=tmp_path), StoryClock(START)
    with open_instance(settings, clock) as opened:
        old, secret = opened.runtime.service_key, agreement_secret(opened.runtime.pseudonym_secret, "agr_1")
        with pytest.raises(FolderInUse):
            recovery.rotate_service(settings, "planned", clock=clock)
    # What the processes of the production form hold; they do not keep each other out.
    with one_of_many(tmp_path), one_of_many(tmp_path), pytest.raises(FolderInUse):
        recovery.rotate_service(settings, "planned", clock=clock)
    statement = recovery.rotate_service(settings, "compromised", clock=clock)
    with open_instance(settings, clock) as opened:
        new = opened.runtime.service_key
        assert new.kid != old.kid
        assert agreement_secret(opened.runtime.pseudonym_secret, "agr_1") == secret
        with opened.runtime.database.reading() as db:
            said = read_strictly(documents.get(db, statement).body)
            (signature,) = documents.signatures(db, statement)
            lives = [(one.kid, one.until is None) for one in service_keys(db)]
            tags = db.exec(select(Entry.tag).where(col(Entry.tag).contains("key_")).order_by(Entry.id)).all()
        assert (said["old"]["kid"], said["new"]["kid"], signature.kid) == (old.kid, new.kid, old.kid)
        assert lives == [(old.kid, False), (new.kid, True)]
        assert tags == [Tag.KEY_REGISTERED, Tag.KEY_REGISTERED, Tag.KEY_ROTATED, Tag.KEY_REVOKED]
        told = TestClient(opened.app).get("/log/keys").json()
    assert [one["kid"] for one in told["service_keys"]] == [old.kid, new.kid]
    assert told["service"]["kid"] == new.kid


@pytest.mark.parametrize("when", ["before it is recorded", "after it is recorded"])
def test_a_crash_in_the_middle_is_finished_by_asking_again(
    tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, clock = Settings(data_folder=tmp_path), StoryClock(START)
    with open_instance(settings, clock) as opened:
        old = opened.runtime.service_key
    part = (recovery.servicekeys, "rotate") if when.startswith("before") else (recovery.servicekey, "put_in_use")
    with monkeypatch.context() as patch:
        patch.setattr(*part, lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            recovery.rotate_service(settings, "planned", clock=clock)
    assert (tmp_path / NEXT_FILE).exists()
    with pytest.raises(RotationUnfinished), open_instance(settings, clock):
        pass
    recovery.rotate_service(settings, "planned", clock=clock)
    with open_instance(settings, clock) as opened, opened.runtime.database.reading() as db:
        assert [one.until is None for one in service_keys(db)] == [False, True]
        assert opened.runtime.service_key.kid != old.kid


def test_an_old_service_key_brought_back_is_refused(tmp_path: Path) -> None:
    settings, clock = Settings(data_folder=tmp_path), StoryClock(START)
    with open_instance(settings, clock):
        old = (tmp_path / "service-key.pem").read_bytes()
    recovery.rotate_service(settings, "planned", clock=clock)
    (tmp_path / "service-key.pem").write_bytes(old)
    with pytest.raises(ServiceKeyRevoked), open_instance(settings, clock):
        pass


@pytest.mark.parametrize("role", ["log", "witness"])
def test_the_embedded_children_go_on_with_a_new_key(tmp_path: Path, role: str) -> None:
    settings, clock = Settings(data_folder=tmp_path), StoryClock(START)
    with open_instance(settings, clock) as opened:
        settle(opened)
        before = str(getattr(opened.log.client.keys, role))
    done = CliRunner().invoke(command_line, ["keys", "rotate", role, "--data", str(tmp_path)])
    assert done.exit_code == 0, done.output
    with open_instance(settings, clock) as opened:
        settle(opened)
        told = TestClient(opened.app).get("/log/keys").json()
        assert told[role] != before
        assert [(one["role"], one["key"]) for one in told["former"]] == [(role, before)]


def test_an_instance_whose_log_is_found_unsound_releases_nothing_more(house) -> None:
    agree(house)
    prepare(house.runtime, "agr_1")
    client = TestClient(app_of(house))
    asked = {"url": DATA, "params": {"purpose": "model_training"}, "headers": {"X-Caller": "pharma"}}
    assert client.get(**asked).status_code == 200

    def step() -> None:
        raise LogBehind("the database lacks entries that were signed")

    with pytest.raises(LogBehind):
        watched(house.runtime, None, step)  # type: ignore[arg-type]
    refused = client.get(**asked)
    assert refused.status_code == 403
    assert "log_not_sound" in refused.text
    *_, last = entries(house, "usage:refused")
    assert "log_not_sound" in str(last)
    ready = TestClient(create_app(house.runtime)).get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["log"]["status"]) == (503, "fail")


def test_a_refused_head_alone_stops_nothing_while_the_heads_agree(tmp_path: Path) -> None:
    with open_instance(Settings(data_folder=tmp_path), StoryClock(START)) as opened:

        def step() -> None:
            raise LogRefused("two integrators at once")

        with pytest.raises(LogRefused):
            watched(opened.runtime, opened.log, step)
        assert opened.runtime.soundness.reason is None
        register_service_key(opened.runtime)
