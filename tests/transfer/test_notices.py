"""A notice is written once for each stop and agreement, says what left, and is read by both parties alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select
from typer.testing import CliRunner

from marketplace.assets import queries as assets
from marketplace.assets import service as passport
from marketplace.cli import app as command_line
from marketplace.costing.models import MeterEvent
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.negotiation.schemas import WhyIn
from marketplace.participants.models import Participant
from marketplace.plumbing import epochs, outbox
from marketplace.plumbing.epochs import Stop
from marketplace.transfer import notices, opening
from marketplace.transfer.models import StopNotice
from marketplace.transfer.opening import Download, Opened
from marketplace.transfer.stream import WindowSource
from marketplace.usage.rules import UseRequest
from tests.house import House
from tests.negotiation.parts import drafted, sign
from tests.transfer.doors import entries
from tests.transfer.stopping import (
    WHY,
    WINDOW,
    a_prepared_delivery,
    calling,
    certificate,
    get,
    post,
    resume,
    running,
    settle,
    stop,
    told,
    transfers,
    verified,
)
from tests.usage.agreed import Agreed, agree_again
from workers.doctor import examine


@pytest.fixture
def ready(house: House) -> House:
    return a_prepared_delivery(house)


@pytest.fixture
def client(ready: House) -> Iterator[TestClient]:
    with calling(ready) as opened:
        yield opened


def test_a_task_that_runs_twice_or_again_after_a_crash_makes_one_notice(ready: House, client: TestClient) -> None:
    running(ready)
    assert post(client, "hospital", "/v1/agreements/agr_1/termination", WHY).status_code == 200
    with ready.runtime.database.reading() as db:
        (row,) = db.exec(select(outbox.OutboxRow).where(outbox.OutboxRow.task == epochs.NOTIFY_TASK)).all()
    stopped = notices.Stopped.read(row.args)

    def crash(*_args: Any, **_named: Any) -> None:
        raise RuntimeError("killed")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(notices, "StopNoticeReader", crash)
        with pytest.raises(notices.NoticesMissing):
            notices.notify_stop(ready.runtime, stopped)
    (open_still,) = transfers(ready)
    assert (open_still.state, entries(ready, "transfer:closed")) == ("open", [])

    assert [notices.notify_stop(ready.runtime, stopped) for _ in range(3)] == [1, 0, 0]
    assert len(told(client)) == len(entries(ready, "transfer:stop_notified")) == 1
    assert len(entries(ready, "transfer:closed")) == 1


def test_two_stops_are_two_notices_and_only_the_first_names_the_use(ready: House, client: TestClient) -> None:
    running(ready)
    for who, path in (("registrar", certificate("suspension")), ("hospital", "/v1/agreements/agr_1/termination")):
        assert post(client, who, path, WHY).status_code == 200
        settle(ready)
        ready.clock.advance(timedelta(seconds=1))
    first, second = told(client)
    assert [first["reason"], second["reason"]] == ["certificate_suspended", "agreement_terminated"]
    assert [len(one["content"]["transfers"]) for one in (first, second)] == [1, 0]


def test_a_stop_that_waits_for_its_turn_names_the_use_that_it_cut(ready: House, client: TestClient) -> None:
    asked_at = ready.clock.now()
    ready.clock.advance(timedelta(milliseconds=40))
    source = running(ready, "use-number-1")  # opened while the stop waits for its lock
    with ready.db() as db:
        agreement = negotiation.agreement(db, "agr_1")
        stopping.suspend(db, ready.cast["hospital"].actor, agreement, WhyIn(reason="data_incident"), asked_at)
    assert (source.next(), source.outcome) == (None, "agreement_suspended")
    assert resume(client, ready, "hospital") == "finalized"
    later = running(ready, "use-number-1")
    later.stop("broken")
    later.close()
    settle(ready)
    (notice,) = told(client)
    (named,) = notice["content"]["transfers"]
    assert (named["transfer"], named["leg"], named["bytes"]) == (source.opened.transfer, 1, 2 * WINDOW)


def test_an_agreement_that_comes_into_force_while_a_stop_waits_gets_its_notice(house: House) -> None:
    agreement = drafted(house)
    sign(house, agreement, "pharma")
    asked_at = house.clock.now()
    house.clock.advance(timedelta(milliseconds=40))
    sign(house, agreement, "hospital")
    suspend_version(house, agreement.version_id, asked_at)
    settle(house)
    assert notices_of(house) == [agreement.id]


def test_an_agreement_that_comes_into_force_after_a_stop_is_told_nothing_of_it(house: House) -> None:
    agreement = drafted(house)
    sign(house, agreement, "pharma")
    suspend_version(house, agreement.version_id, house.clock.now())
    with house.db() as db:
        found = assets.version(db, agreement.version_id)
        passport.resume(db, house.cast["hospital"].actor, found, "data_incident", house.clock.now())
    house.clock.advance(timedelta(milliseconds=40))
    sign(house, agreement, "hospital")
    settle(house)
    assert notices_of(house) == []


def suspend_version(house: House, version: str, now: datetime) -> None:
    with house.db() as db:
        passport.suspend(db, house.cast["hospital"].actor, assets.version(db, version), "data_incident", now)


def notices_of(house: House) -> list[str]:
    with house.runtime.database.reading() as db:
        return list(db.exec(select(StopNotice.agreement_id)))


def test_an_agreement_that_cannot_be_told_holds_up_no_other_and_is_told_when_put_back(
    ready: House, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    agree_again(ready, Agreed("agr_1", "ast_1", "ver_1", "opn_1"), "agr_2")
    running(ready)
    assert post(client, "hospital", "/v1/versions/ver_1/suspension", WHY).status_code == 200

    def damaged(*_args: Any) -> bool:
        raise RuntimeError("its books are damaged")

    with monkeypatch.context() as patched:
        patched.setattr(notices, "close", damaged)
        for _ in range(outbox.MAX_ATTEMPTS):
            settle(ready)
            ready.clock.advance(timedelta(hours=1))
    assert notices_of(ready) == ["agr_2"]
    folder = ready.runtime.settings.data_folder
    (finding,) = [one for one in examine(folder) if one.name == "work"]
    assert not finding.ok
    assert "transfer.notify_stop" in finding.words
    assert "agr_1: RuntimeError" in finding.words
    assert CliRunner().invoke(command_line, ["work", "retry", "--data", str(folder)]).output == "1 of 1 put back\n"
    ready.clock.advance_to(max(ready.clock.now(), datetime.now(UTC)))
    settle(ready)
    assert sorted(notices_of(ready)) == ["agr_1", "agr_2"]


def test_a_use_served_in_full_is_not_named_and_others_go_on(ready: House, client: TestClient) -> None:
    whole = get(client, "pharma", "/v1/agreements/agr_1/data", purpose="model_training")
    assert whole.status_code == 200
    source = running(ready)
    stop(ready, "prt_elsewhere", Stop.PARTY_SUSPENDED)
    settle(ready)
    assert source.next() is not None
    assert told(client) == []
    assert post(client, "pharma", "/v1/agreements/agr_1/suspension", WHY).status_code == 200
    settle(ready)
    (notice,) = told(client)
    (named,) = notice["content"]["transfers"]
    assert (named["transfer"], named["bytes"]) != (whole.headers["X-Transfer-Id"], len(whole.content))
    assert named["bytes"] == 3 * WINDOW


def test_a_continued_use_names_the_last_byte_of_the_whole(ready: House, client: TestClient) -> None:
    headers = {"X-Caller": "pharma", "Idempotency-Key": "use-number-1", "Range": f"bytes=0-{WINDOW - 1}"}
    assert client.get("/v1/agreements/agr_1/data", params={"purpose": "model_training"}, headers=headers).is_success
    asked = Download(
        "agr_1", UseRequest("model_training"), key="use-number-1", range_header=f"bytes={WINDOW}-{9 * WINDOW}"
    )
    answer = opening.open_transfer(ready.runtime, ready.cast["pharma"].actor, asked, ready.clock.now())
    assert isinstance(answer, Opened)
    source = WindowSource(ready.runtime, ready.cast["pharma"].actor, answer)
    assert source.next()
    assert post(client, "hospital", "/v1/agreements/agr_1/suspension", WHY).status_code == 200
    settle(ready)
    (named,) = told(client)[0]["content"]["transfers"]
    assert (named["leg"], named["from"], named["last_byte"], named["bytes"]) == (2, WINDOW, 2 * WINDOW - 1, WINDOW)


def test_a_use_without_a_byte_is_named_with_none_and_costs_nothing(ready: House, client: TestClient) -> None:
    asked = Download("agr_1", UseRequest("model_training"))
    opening.open_transfer(ready.runtime, ready.cast["pharma"].actor, asked, ready.clock.now())
    assert post(client, "hospital", "/v1/versions/ver_1/suspension", WHY).status_code == 200
    settle(ready)
    (named,) = told(client)[0]["content"]["transfers"]
    assert (named["last_byte"], named["bytes"], named["sha256"]) == (None, 0, None)
    with ready.runtime.database.reading() as db:
        assert db.exec(select(MeterEvent)).all() == []


def test_nobody_else_reads_a_notice_and_auditors_do(ready: House, client: TestClient) -> None:
    assert post(client, "hospital", "/v1/agreements/agr_1/termination", WHY).status_code == 200
    settle(ready)
    (notice,) = told(client)
    for who, status in (("ai_company", 404), ("exchange", 404), ("operator", 404), ("auditor", 200)):
        assert get(client, who, f"/v1/stop-notices/{notice['id']}").status_code == status
        assert get(client, who, f"/v1/documents/{notice['document']}").status_code == status
        listed = get(client, who, "/v1/stop-notices").json()["items"]
        assert [one["id"] for one in listed] == ([notice["id"]] if status == 200 else [])


def test_the_inbox_is_read_page_by_page(ready: House, client: TestClient) -> None:
    for _ in range(2):
        assert post(client, "hospital", "/v1/agreements/agr_1/suspension", WHY).status_code == 200
        settle(ready)
        assert resume(client, ready, "hospital") == "finalized"
        settle(ready)
    assert post(client, "hospital", "/v1/agreements/agr_1/termination", WHY).status_code == 200
    settle(ready)
    first = get(client, "pharma", "/v1/stop-notices", limit="2").json()
    second = get(client, "pharma", "/v1/stop-notices", limit="2", cursor=first["next"]).json()
    assert [one["reason"] for one in first["items"] + second["items"]] == [
        "agreement_terminated",
        "resumption_in_effect",
        "agreement_suspended",
        "resumption_in_effect",
    ]
    assert second["next"] is not None


def test_a_suspended_buyer_finds_its_notice_when_it_is_back(ready: House, client: TestClient) -> None:
    assert post(client, "operator", "/v1/participants/prt_pharma/suspension", WHY).status_code == 200
    settle(ready)
    with ready.runtime.database.reading() as db:
        assert db.get_one(Participant, "prt_pharma").suspended_at is not None
        (row,) = db.exec(select(StopNotice)).all()
    assert row.reason == "party_suspended"
    assert [one["id"] for one in told(client, "pharma")] == [row.id]


def test_a_notice_under_another_service_key_is_not_believed(ready: House, client: TestClient) -> None:
    other = replace(ready.runtime, service_key=ready.cast["ai_company"].key)
    stop(ready, "agr_1", Stop.EXPIRED)
    with ready.runtime.database.reading() as db:
        (row,) = db.exec(select(outbox.OutboxRow).where(outbox.OutboxRow.task == epochs.NOTIFY_TASK)).all()
    notices.notify_stop(other, notices.Stopped.read(row.args))
    with pytest.raises(AssertionError):
        verified(client, "pharma", told(client)[0])
