"""Every way to stop a use: no further window, settled and charged as logged, both parties told by a signed notice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from marketplace.audit.entry import Tag, record
from marketplace.kernel.clock import timestamp
from marketplace.legal import lapsing as opinions
from marketplace.legal.models import Opinion
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.steps import END_TASK
from marketplace.plumbing import epochs, outbox
from marketplace.plumbing.epochs import Stop
from marketplace.registration import lapsing as certificates
from marketplace.registration.models import Application, Certificate
from marketplace.transfer import queries
from marketplace.transfer.delivery import prepare
from tests.generated import ROOT
from tests.house import House
from tests.transfer.doors import entries
from tests.transfer.stopping import (
    SCHEMA,
    WHY,
    WINDOW,
    a_prepared_delivery,
    calling,
    certificate,
    get,
    post,
    require_charged_once,
    resume,
    running,
    settle,
    sign_acts,
    stop,
    told,
    transfers,
    verified,
)
from tests.usage.agreed import CERTIFICATE, agree, rewrite


@dataclass(frozen=True)
class Way:
    """One way to stop: who calls what, and the reason that follows.  undo: how the same party lifts it."""

    who: str
    path: str
    reason: str
    body: dict[str, Any]
    undo: str | None = None


WAYS = {
    "the provider suspends the agreement": Way(
        "hospital", "/v1/agreements/agr_1/suspension", "agreement_suspended", WHY, "/v1/agreements/agr_1/resumption"
    ),
    "the buyer suspends the agreement": Way(
        "pharma", "/v1/agreements/agr_1/suspension", "agreement_suspended", WHY, "/v1/agreements/agr_1/resumption"
    ),
    "the provider ends the agreement": Way("hospital", "/v1/agreements/agr_1/termination", "agreement_terminated", WHY),
    "the buyer ends the agreement": Way("pharma", "/v1/agreements/agr_1/termination", "agreement_terminated", WHY),
    "the provider suspends the version": Way(
        "hospital", "/v1/versions/ver_1/suspension", "version_suspended", WHY, "/v1/versions/ver_1/resumption"
    ),
    "the provider retires the version": Way("hospital", "/v1/versions/ver_1/retirement", "version_retired", WHY),
    "the registrar suspends the certificate": Way(
        "registrar", certificate("suspension"), "certificate_suspended", WHY, certificate("resumption")
    ),
    "the registrar cancels the certificate": Way(
        "registrar", certificate("cancellation"), "certificate_cancelled", WHY
    ),
    "the exchange forces the listing off": Way(
        "exchange", "/v1/listings/lst_1/force-off", "listing_forced_off", WHY, "/v1/listings/lst_1/reinstatement"
    ),
    "consent of a person is withdrawn": Way(
        "hospital",
        "/v1/versions/ver_1/consent-withdrawals",
        "consent_withdrawn",
        {"files": ["1.2.3.10000/1.2.3.20000/1.2.3.30000.dcm"], "reference": "ab" * 32},
    ),
    "the operator suspends the provider": Way(
        "operator",
        "/v1/participants/prt_hospital/suspension",
        "party_suspended",
        {"reason": "identity_in_doubt"},
        "/v1/participants/prt_hospital/reinstatement",
    ),
}


@pytest.fixture
def ready(house: House) -> House:
    return a_prepared_delivery(house)


@pytest.fixture
def client(ready: House) -> Iterator[TestClient]:
    with calling(ready) as opened:
        yield opened


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_stop_ends_the_use_at_its_last_logged_byte_and_tells_both_parties(
    ready: House, client: TestClient, way: Way
) -> None:
    source = running(ready)
    answer = post(client, way.who, way.path, way.body)
    assert answer.status_code in {200, 201}, answer.text
    assert source.next() is None
    settle(ready)
    source.close()

    (row,) = transfers(ready)
    assert (row.state, row.outcome, row.served, row.uses) == ("closed", way.reason, 2 * WINDOW, 1)
    require_charged_once(ready, 2 * WINDOW)
    (mine,), (theirs,) = told(client, "pharma"), told(client, "hospital")
    assert mine["content"] == theirs["content"]
    content = verified(client, "pharma", mine)
    (closed,) = entries(ready, "transfer:closed")
    assert content["transfers"] == [
        {
            "transfer": row.id,
            "leg": 1,
            "outcome": way.reason,
            "from": 0,
            "last_byte": 2 * WINDOW - 1,
            "bytes": 2 * WINDOW,
            "sha256": closed["facts"]["sha256"],
            "closed_entry": closed["id"],
        }
    ]
    assert (content["reason"], content["bytes_total"]) == (way.reason, 2 * WINDOW)
    assert content["stopped_by"] == ready.cast[way.who].id
    (entry,) = entries(ready, "transfer:stop_notified")
    assert entry["facts"]["document"] == mine["document"]
    assert entry["subject"]["agreement"] == "agr_1"
    assert content["stop_entry"] == entry["facts"]["stop"]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_request_after_a_stop_is_refused_with_exactly_its_reason(ready: House, client: TestClient, way: Way) -> None:
    assert post(client, way.who, way.path, way.body).status_code in {200, 201}
    answer = get(client, "pharma", "/v1/agreements/agr_1/data", purpose="model_training")
    assert (answer.status_code, answer.json()["reasons"]) == (403, [way.reason])
    (refused,) = entries(ready, "usage:refused")
    assert refused["facts"]["reasons"] == [way.reason]
    settle(ready)
    (notice,) = told(client)
    assert (notice["content"]["transfers"], notice["content"]["bytes_total"]) == ([], 0)


@pytest.mark.parametrize(("name", "way"), [(name, way) for name, way in WAYS.items() if way.undo])
def test_what_was_lifted_can_be_used_again_with_the_same_key_and_one_charge(
    ready: House, client: TestClient, name: str, way: Way
) -> None:
    source = running(ready, "use-number-1")
    assert post(client, way.who, way.path, way.body).status_code == 200
    settle(ready)
    assert way.undo is not None
    lifted = post(client, way.who, way.undo, way.body)
    assert lifted.status_code == 200, (name, lifted.text)
    if way.who in ("hospital", "pharma"):
        sign_acts(client, ready, way.who)
    assert source.next() is None
    source.close()

    headers = {"X-Caller": "pharma", "Idempotency-Key": "use-number-1", "Range": f"bytes={2 * WINDOW}-"}
    answer = client.get("/v1/agreements/agr_1/data", params={"purpose": "model_training"}, headers=headers)
    assert answer.status_code == 206, answer.text
    (row,) = transfers(ready)
    assert (row.outcome, row.leg, row.served) == ("complete", 2, 2 * WINDOW + len(answer.content))
    settle(ready)
    require_charged_once(ready, row.served)


def lapse_of_the_certificate(house: House) -> None:
    with house.db() as db:
        certificates.watch(db, db.get_one(Certificate, CERTIFICATE), house.clock.now())


def lapse_of_the_opinion(house: House) -> None:
    with house.db() as db:
        opinions.watch(db, db.get_one(Opinion, "opn_1"), house.clock.now())


def end_of_the_term(house: House) -> None:
    with house.db() as db:
        agreement, now = db.get_one(Agreement, "agr_1"), house.clock.now()
        outbox.enqueue(db, END_TASK, {"agreement": "agr_1"}, key="agr_1", now=now, due=agreement.ends_at)


ENDS = {
    "expired": (end_of_the_term, Agreement, "agr_1", "ends_at"),
    "certificate_not_valid": (lapse_of_the_certificate, Certificate, CERTIFICATE, "valid_until"),
    "opinion_not_valid": (lapse_of_the_opinion, Opinion, "opn_1", "expires_at"),
}


@pytest.mark.parametrize("ends_itself", [True, False], ids=["the stream settles", "the worker settles"])
@pytest.mark.parametrize("reason", ENDS)
def test_what_ends_by_itself_stops_at_that_second_and_is_told_once(
    ready: House, client: TestClient, reason: str, ends_itself: bool
) -> None:
    watch, model, key, column = ENDS[reason]
    day = ready.clock.now() + timedelta(days=1)
    rewrite(ready, model, key, **{column: day + timedelta(milliseconds=700)})
    watch(ready)
    source = running(ready)
    settle(ready)
    assert told(client) == []

    ready.clock.advance_to(day)
    assert source.next() is None
    if ends_itself:
        source.close()
    ready.clock.advance(timedelta(seconds=30))
    for _ in range(2):
        settle(ready)
    (row,) = transfers(ready)
    assert (row.state, row.outcome) == ("closed", reason)
    (notice,) = told(client)
    content = verified(client, "hospital", notice)
    assert (content["reason"], content["stopped_by"], content["stopped_at"]) == (reason, "service", timestamp(day))
    assert [one["last_byte"] for one in content["transfers"]] == [2 * WINDOW - 1]
    answer = get(client, "pharma", "/v1/agreements/agr_1/data", purpose="model_training")
    assert answer.json()["reasons"] == [reason]


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("ai_company", "/v1/agreements/agr_1/suspension", 404),
        ("auditor", "/v1/agreements/agr_1/suspension", 403),
        ("exchange", "/v1/agreements/agr_1/suspension", 404),
        ("pharma", "/v1/versions/ver_1/suspension", 404),
        ("registrar", "/v1/versions/ver_1/retirement", 404),
        ("pharma", "/v1/listings/lst_1/force-off", 404),
        ("hospital", "/v1/listings/lst_1/force-off", 404),
        ("hospital", certificate("suspension"), 403),
        ("hospital", "/v1/participants/prt_pharma/suspension", 403),
    ],
)
def test_only_who_may_stop_does_and_a_refused_stop_stops_nothing(
    ready: House, client: TestClient, who: str, path: str, status: int
) -> None:
    source = running(ready)
    with ready.runtime.database.reading() as db:
        before = epochs.changes(db)
    assert post(client, who, path, WHY).status_code == status
    with ready.runtime.database.reading() as db:
        assert epochs.changes(db) == before
    assert source.next() is not None


def test_a_certificate_that_was_renewed_and_an_opinion_that_was_replaced_end_without_a_stop(
    ready: House, client: TestClient
) -> None:
    now = ready.clock.now()
    day = now + timedelta(days=1)
    rewrite(ready, Certificate, CERTIFICATE, valid_until=day)
    rewrite(ready, Opinion, "opn_1", expires_at=day)
    lapse_of_the_certificate(ready)
    lapse_of_the_opinion(ready)
    with ready.arrange() as db:
        db.add(Application(**db.get_one(Application, "app_1").model_dump() | {"id": "app_2"}))
        db.flush()
        newer = db.get_one(Certificate, CERTIFICATE).model_dump()
        newer |= {"code": "SJ3512026090002", "application_id": "app_2"}
        db.add(Certificate(**newer | {"valid_until": day + timedelta(days=300)}))
        later = db.get_one(Opinion, "opn_1").model_dump() | {"id": "opn_2", "number": "2"}
        db.add(Opinion(**later | {"expires_at": day + timedelta(days=300), "signed_at": now + timedelta(seconds=1)}))
    ready.clock.advance_to(day)
    settle(ready)
    assert entries(ready, "registration:certificate_lapsed", "legal:opinion_lapsed") == []
    assert told(client) == []
    assert get(client, "pharma", "/v1/agreements/agr_1/data", purpose="model_training").status_code == 200


def test_only_the_side_that_suspended_resumes(ready: House, client: TestClient) -> None:
    for path, who, other in (
        ("/v1/agreements/agr_1", "pharma", "hospital"),
        ("/v1/agreements/agr_1", "hospital", "pharma"),
    ):
        assert post(client, who, f"{path}/suspension", WHY).json()["suspended_by"] == ready.cast[who].id
        assert post(client, who, f"{path}/suspension", WHY).status_code == 200
        assert post(client, other, f"{path}/suspension", WHY).status_code == 409
        assert post(client, other, f"{path}/resumption", WHY).status_code == 403
        assert resume(client, ready, who) == "finalized"
        assert post(client, who, f"{path}/resumption", WHY).status_code == 409
    assert len(entries(ready, "negotiation:agreement_suspended")) == 2


def test_a_suspended_listing_lets_running_agreements_go_on_and_a_withdrawn_one_can_be_forced_off(
    ready: House, client: TestClient
) -> None:
    source = running(ready)
    assert post(client, "exchange", "/v1/listings/lst_1/suspension", WHY).status_code == 200
    assert source.next() is not None
    assert post(client, "hospital", "/v1/listings/lst_1/withdrawal", WHY).status_code == 200
    assert source.next() is not None
    assert post(client, "exchange", "/v1/listings/lst_1/force-off", WHY).json()["state"] == "forced_off"
    assert source.next() is None
    assert post(client, "hospital", "/v1/listings/lst_1/withdrawal", WHY).status_code == 409
    assert post(client, "exchange", "/v1/listings/lst_1/reinstatement", WHY).json()["state"] == "withdrawn"
    assert post(client, "exchange", "/v1/listings/lst_1/reinstatement", WHY).status_code == 409


def test_preparation_that_fell_into_a_suspension_is_done_after_it(house: House) -> None:
    agree(house)
    rewrite(house, Agreement, "agr_1", state="suspended", suspended_by="prt_hospital")
    assert prepare(house.runtime, "agr_1") is None
    with calling(house) as client:
        assert resume(client, house, "hospital") == "finalized"
    settle(house)
    with house.runtime.database.reading() as db:
        assert queries.delivery(db, "agr_1") is not None


def test_the_count_of_changes_and_every_epoch_only_grow(ready: House) -> None:
    seen: list[tuple[int, ...]] = []
    for subject in ("agr_1", "ver_1", "agr_1", "brand-new"):
        with ready.db() as db:
            record(db, ready.cast["operator"].actor, Tag.VERSION_SUSPENDED, ready.clock.now())
            epochs.bump(db, subject, Stop.VERSION_SUSPENDED)
            epochs.open_epoch(db, subject)
        with ready.runtime.database.reading() as db:
            totals = [epochs.total(db, [one]) for one in ("agr_1", "ver_1", "brand-new")]
            seen.append((epochs.changes(db), *totals))
    assert seen == [(1, 1, 0, 0), (2, 1, 1, 0), (3, 2, 1, 0), (4, 2, 1, 1)]


def test_the_reason_of_a_stop_is_the_latest_of_its_subjects_and_a_stop_rolled_back_counts_nothing(
    ready: House,
) -> None:
    with ready.runtime.database.reading() as db:
        assert epochs.reason_of(db, ["agr_1", "ver_1"]) == ""
    made = [stop(ready, "ver_1", Stop.VERSION_SUSPENDED), stop(ready, "agr_1", Stop.AGREEMENT_SUSPENDED)]
    with ready.runtime.database.session(write=True) as db:
        actor = ready.cast["operator"].actor
        epochs.stop(db, ("agr_1", "ver_1"), Stop.EXPIRED, actor, "ent_c", ready.clock.now())
        db.rollback()
    with ready.runtime.database.reading() as db:
        assert epochs.changes(db) == 2
        assert epochs.reason_of(db, ["agr_1", "ver_1"]) == "agreement_suspended"
        assert epochs.reason_of(db, ["ver_1"]) == "version_suspended"
        tasks = db.exec(select(outbox.OutboxRow).where(outbox.OutboxRow.task == epochs.NOTIFY_TASK)).all()
    assert [row.args["entry"] for row in tasks] == made


def test_every_stop_code_has_words_in_both_languages_and_stands_in_the_schema_of_notices() -> None:
    reasons = json.loads((ROOT / "contracts" / "policy" / "reasons.json").read_text("utf-8"))
    codes = {str(one) for one in Stop}
    assert all(reasons[code]["en"] and reasons[code]["zh"] for code in codes)
    assert set(SCHEMA["properties"]["reason"]["enum"]) == codes
    # What a missing report stops is told in `test_duty_notices`, what an unpaid invoice stops in `tests.settlement`,
    # an amendment in `negotiation.succession`.
    elsewhere = {"use_report_missing", "invoice_overdue", "agreement_superseded"}
    assert {way.reason for way in WAYS.values()} | set(ENDS) | elsewhere == codes
