"""A use over HTTP: decided, reserved, logged before its bytes, settled; whatever happens to client or rights."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from marketplace.assets.models import Version
from marketplace.audit.tree import leaf_hash
from marketplace.costing.models import MeterEvent
from marketplace.kernel.canonical import canonical, read_strictly, sha256_hex
from marketplace.kernel.signing import verify_compact
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.refusals import CLAUSES
from marketplace.participants import service as participants
from marketplace.plumbing import epochs
from marketplace.plumbing.policy import denial
from marketplace.registration.models import Certificate
from marketplace.transfer import queries, service
from marketplace.transfer.delivery import prepare
from tests.transfer.doors import app_of, entries, with_settings
from tests.transfer.one_use import opened, quota, source_of, transfer
from tests.usage.agreed import agree, rewrite, uses

DATA = "/v1/agreements/agr_1/data"
GOOD = {"purpose": "model_training"}
PHARMA = {"X-Caller": "pharma"}
KEY = PHARMA | {"Idempotency-Key": "use-number-1"}


@pytest.fixture
def ready(house):
    """A prepared delivery of four slices; windows of 1 KiB."""
    agree(house, price=1500)
    prepare(house.runtime, "agr_1")
    return with_settings(house, window_kib=1)


@pytest.fixture
def client(ready):
    with TestClient(app_of(ready)) as opened:
        yield opened


def manifest(client) -> dict:
    return client.get("/v1/agreements/agr_1/manifest", headers=PHARMA).json()


def covered(house) -> list[tuple[int, int]]:
    return [(e["facts"]["offset"], e["facts"]["length"]) for e in entries(house, "transfer:window_served")]


def test_allowed_use_serves_the_tar_of_the_manifest(ready, client):
    answer = client.get(DATA, params=GOOD, headers=PHARMA)
    assert answer.status_code == 200
    tar = manifest(client)["content"]["tar"]
    assert tar == {"sha256": sha256_hex(answer.content), "bytes": len(answer.content)}
    digest = base64.b64encode(bytes.fromhex(tar["sha256"])).decode()
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert answer.headers["ETag"] == f'"{tar["sha256"]}"'
    assert answer.headers["Content-Length"] == str(tar["bytes"])
    assert answer.headers["Content-Type"] == "application/x-tar"
    assert answer.headers["Link"] == '</v1/agreements/agr_1/manifest>; rel="describedby"'
    row = transfer(ready)
    assert (answer.headers["X-Transfer-Id"], answer.headers["X-Entry-Id"]) == (row.id, row.entry_id)
    assert (row.state, row.outcome, row.served, row.uses) == ("closed", "complete", tar["bytes"], 1)
    assert quota(ready) == (0, 1, 0, tar["bytes"])


def test_entries_tell_the_use_from_decision_to_close(ready, client):
    answer = client.get(DATA, params=GOOD, headers=PHARMA)
    (allowed,) = entries(ready, "usage:allowed")
    assert allowed["facts"]["transfer"] == transfer(ready).id
    assert allowed["facts"]["sha256"] == sha256_hex(answer.content)
    windows = covered(ready)
    assert windows[0] == (0, 1024)
    assert all(at + length == after for (at, length), (after, _) in pairwise(windows))
    assert sum(length for _, length in windows) == len(answer.content)
    last = entries(ready, "transfer:window_served")[-1]
    (closed,) = entries(ready, "transfer:closed")
    assert last["facts"]["running_sha256"] == closed["facts"]["sha256"] == sha256_hex(answer.content)
    assert (closed["facts"]["outcome"], closed["facts"]["bytes"]) == ("complete", len(answer.content))


def test_use_is_charged_once_at_the_agreed_price(ready, client):
    client.get(DATA, params=GOOD, headers=KEY)
    client.get(DATA, params=GOOD, headers=KEY)
    with ready.runtime.database.reading() as db:
        (event,) = db.exec(select(MeterEvent)).all()
    assert (event.kind, event.quantity, event.unit_price_fen) == ("use.transfer", 1, 1500)
    assert (event.payer_id, event.payee_id) == (ready.cast["pharma"].id, ready.cast["hospital"].id)
    assert event.venue_id == ready.cast["exchange"].id  # who earns the supplier's fee on the use


def test_one_file_and_its_range(ready, client):
    (one, *_) = [file for file in manifest(client)["content"]["files"] if file["path"].endswith(".dcm")]
    whole = client.get(f"{DATA}/{one['path']}", params=GOOD, headers=PHARMA)
    assert sha256_hex(whole.content) == one["sha256"]
    assert whole.headers["Content-Type"] == "application/dicom"
    part = client.get(f"{DATA}/{one['path']}", params=GOOD, headers=PHARMA | {"Range": "bytes=100-2499"})
    assert part.status_code == 206
    assert part.content == whole.content[100:2500]
    assert part.headers["Content-Range"] == f"bytes 100-2499/{one['bytes']}"
    tail = client.get(f"{DATA}/{one['path']}", params=GOOD, headers=PHARMA | {"Range": "bytes=-7"})
    assert tail.content == whole.content[-7:]


def test_range_for_another_version_of_the_bytes_is_answered_in_full(ready, client):
    headers = PHARMA | {"Range": "bytes=0-1", "If-Range": '"other"'}
    assert client.get(DATA, params=GOOD, headers=headers).status_code == 200


def test_range_outside_is_no_use(ready, client):
    answer = client.get(DATA, params=GOOD, headers=PHARMA | {"Range": "bytes=99999999-"})
    assert answer.status_code == answer.json()["status"] == 416
    assert entries(ready, "edge:refused")[-1]["facts"]["reason"] == "range-not-satisfiable"
    assert answer.headers["Content-Range"].startswith("bytes */")
    assert quota(ready) == (0, 0, 0, 0)


def test_head_tells_size_and_hash_and_is_no_use(ready, client):
    answer = client.head(DATA, headers=PHARMA)
    tar = manifest(client)["content"]["tar"]
    assert (answer.status_code, answer.content) == (200, b"")
    assert (answer.headers["Content-Length"], answer.headers["ETag"]) == (str(tar["bytes"]), f'"{tar["sha256"]}"')
    assert entries(ready, "usage:allowed", "usage:refused") == []
    assert client.head(DATA, headers={"X-Caller": "ai_company"}).status_code == 404


REFUSALS = {
    "other purpose": (lambda h: None, {"purpose": "education"}, PHARMA, "purpose_not_permitted"),
    "other asset": (lambda h: None, GOOD | {"asset": "ast_2"}, PHARMA, "wrong_asset"),
    "after expiry": (lambda h: h.clock.advance(timedelta(days=366)), GOOD, PHARMA, "expired"),
    "wrong party": (lambda h: None, GOOD, {"X-Caller": "ai_company"}, "wrong_party"),
    "suspended certificate": (
        lambda h: rewrite(h, Certificate, "SJ3512026090001", state="suspended"),
        GOOD,
        PHARMA,
        "certificate_suspended",
    ),
    "raw version": (lambda h: rewrite(h, Version, "ver_1", kind="raw"), GOOD, PHARMA, "raw_version"),
    "terminated": (lambda h: rewrite(h, Agreement, "agr_1", state="terminated"), GOOD, PHARMA, "agreement_terminated"),
}


@pytest.mark.parametrize(("change", "params", "headers", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_use_is_a_recorded_answer_without_bytes(ready, client, change, params, headers, reason):
    change(ready)
    answer = client.get(DATA, params=params, headers=headers)
    body = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")
    assert (body["type"], body["reasons"]) == ("/problems/use-refused", [reason])
    assert body["explanations"][reason]["zh"]
    named = [] if reason == "wrong_party" else CLAUSES[reason][:1]
    assert [one["id"] for one in body["clauses"]] == named
    (entry,) = entries(ready, "usage:refused")
    assert (entry["id"], entry["facts"]["reasons"]) == (body["entry"], [reason])
    assert entries(ready, "usage:allowed", "transfer:window_served") == []
    assert quota(ready) == (0, 0, 0, 0)


def test_a_stranger_learns_nothing_about_how_the_contract_stands(ready, client):
    rewrite(ready, Agreement, "agr_1", state="terminated")
    rewrite(ready, Certificate, "SJ3512026090001", state="suspended")
    answer = client.get(DATA, params={"purpose": "education"}, headers={"X-Caller": "insurer"})
    assert (answer.status_code, answer.json()["reasons"]) == (403, ["wrong_party"])
    assert answer.json()["clauses"] == []
    assert "terminated" not in answer.text
    (refused,) = entries(ready, "usage:refused")
    assert {"wrong_party", "agreement_terminated", "certificate_suspended"} <= set(refused["facts"]["reasons"])


def test_suspended_provider_ends_a_running_use_for_good(ready, client):
    opened_use = opened(ready, key="use-number-1")
    source = source_of(ready, opened_use)
    assert source.next()
    with ready.db() as db:
        operator, hospital = ready.cast["operator"], ready.cast["hospital"]
        participants.suspend(db, operator.actor, hospital.id, "example", ready.clock.now())
    assert source.next() is None
    source.close()
    assert source.outcome == "party_suspended"
    answer = client.get(DATA, params=GOOD, headers=KEY)
    assert (answer.status_code, answer.json()["reasons"]) == (403, ["party_suspended"])


def test_a_use_and_a_refusal_carry_receipts_over_their_entries(ready, client):
    key = ready.runtime.service_key.public_jwk
    for purpose, tag in (("model_training", "usage:allowed"), ("advertising", "usage:refused")):
        answer = client.get(DATA, params={"purpose": purpose}, headers=PHARMA)
        promised = read_strictly(verify_compact(answer.headers["Receipt"], key, typ="receipt+jwt"))
        (entry,) = entries(ready, tag)
        leaf = leaf_hash(canonical(entry)).hex()
        assert promised["entries"] == [{"id": entry["id"], "leaf": leaf}]
    stranger = client.get(DATA, params=GOOD, headers=PHARMA | {"X-Unbound": "1"})
    promised = read_strictly(verify_compact(stranger.headers["Receipt"], key, typ="receipt+jwt"))
    assert [one["id"] for one in promised["entries"]] == [entries(ready, "edge:refused")[0]["id"]]
    assert "Receipt" not in client.head(DATA, headers=PHARMA).headers


def test_sixth_use_of_five_is_refused(ready, client):
    codes = [client.get(DATA, params=GOOD, headers=PHARMA).status_code for _ in range(6)]
    assert codes == [200] * 5 + [403]
    assert entries(ready, "usage:refused")[0]["facts"]["reasons"] == ["quota_exceeded"]


def test_volume_is_a_quota_too(house):
    agree(house, uses(count=None, volume=60_000))
    prepare(house.runtime, "agr_1")
    with TestClient(app_of(house)) as client:
        assert client.get(DATA, params=GOOD, headers=PHARMA).status_code == 200
        assert client.get(DATA, params=GOOD, headers=PHARMA).json()["reasons"] == ["quota_exceeded"]
        headers = PHARMA | {"Range": "bytes=0-99"}
        assert client.get(DATA, params=GOOD, headers=headers).status_code == 206


def test_many_at_once_get_exactly_the_quota(ready):
    with TestClient(app_of(ready)) as client, ThreadPoolExecutor(12) as threads:
        codes = list(threads.map(lambda _: client.get(DATA, params=GOOD, headers=PHARMA).status_code, range(24)))
    assert sorted(codes) == [200] * 5 + [403] * 19
    assert quota(ready)[:2] == (0, 5)
    assert len(entries(ready, "usage:allowed")) == 5
    assert len(entries(ready, "usage:refused")) == 19


def test_policy_that_fails_releases_nothing(ready):
    class Broken:
        revision = "r"

        def decide(self, package, facts):
            return denial("policy_unavailable", "r")

    broken = replace(ready, runtime=replace(ready.runtime, policy=Broken()))
    with TestClient(app_of(broken)) as client:
        answer = client.get(DATA, params=GOOD, headers=PHARMA)
    assert (answer.status_code, answer.json()["reasons"]) == (403, ["policy_unavailable"])
    assert entries(ready, "transfer:window_served") == []


def test_duty_that_was_not_carried_out_refuses(ready, client):
    from marketplace.transfer.models import Delivery

    rewrite(ready, Delivery, "agr_1", transformations=["attribute"])
    assert client.get(DATA, params=GOOD, headers=PHARMA).json()["reasons"] == ["obligation_not_applied"]


def test_delivery_that_is_not_ready_is_a_conflict_and_no_use(house):
    agree(house)
    with TestClient(app_of(house)) as client:
        answer = client.get(DATA, params=GOOD, headers=PHARMA)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/delivery-not-ready")
        assert client.get(DATA, params={"purpose": "education"}, headers=PHARMA).status_code == 403
        assert client.get("/v1/agreements/agr_1/manifest", headers=PHARMA).status_code == 404
    assert entries(house, "edge:refused")[0]["facts"]["reason"] == "delivery-not-ready"


def test_token_without_a_key_and_nobody_are_turned_away(ready, client):
    answer = client.get(DATA, params=GOOD, headers=PHARMA | {"X-Unbound": "1"})
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/proof-required")
    assert answer.headers["WWW-Authenticate"].startswith("DPoP")
    assert entries(ready, "edge:refused")[0]["facts"]["reason"] == "proof-required"
    assert client.get(DATA, params=GOOD).status_code == 401
    assert client.get("/v1/agreements/agr_2/data", params=GOOD, headers=PHARMA).status_code == 404
    assert client.get(f"{DATA}/no/such.dcm", params=GOOD, headers=PHARMA).status_code == 404
    assert client.get(DATA, headers=PHARMA).status_code == 422


def test_only_parties_and_auditors_see_manifest_and_transfers(ready, client):
    client.get(DATA, params=GOOD, headers=PHARMA)
    for name, status in {"pharma": 200, "hospital": 200, "auditor": 200, "ai_company": 404}.items():
        for what in ("manifest", "transfers"):
            answer = client.get(f"/v1/agreements/agr_1/{what}", headers={"X-Caller": name})
            assert answer.status_code == status, (name, what)
    (shown,) = client.get("/v1/agreements/agr_1/transfers", headers=PHARMA).json()["items"]
    assert (shown["outcome"], shown["uses"]) == ("complete", 1)


def test_epoch_bumped_between_decision_and_commit_refuses(ready):
    class Bumping:
        """The real engine; the provider withdraws while it thinks."""

        revision = ready.runtime.policy.revision

        def decide(self, package, facts):
            decision = ready.runtime.policy.decide(package, facts)
            with ready.arrange() as db:
                epochs.bump(db, "ver_1", "withdrawn")
            return decision

    bumping = replace(ready, runtime=replace(ready.runtime, policy=Bumping()))
    with TestClient(app_of(bumping)) as client:
        answer = client.get(DATA, params=GOOD, headers=PHARMA)
    assert (answer.status_code, answer.json()["reasons"]) == (403, ["epoch_changed"])
    assert quota(ready) == (0, 0, 0, 0)


@pytest.mark.parametrize("subject", ["agr_1", "ver_1", "SJ3512026090001", "opn_1"])
def test_bump_in_the_middle_stops_before_the_next_window(ready, subject):
    answer = opened(ready)
    source = source_of(ready, answer)
    received = source.next() + source.next()
    with ready.arrange() as db:
        epochs.bump(db, subject, "agreement_terminated")
    assert source.next() is None
    source.close()
    assert covered(ready) == [(0, 1024), (1024, 1024)]
    assert len(received) == 2048
    (closed,) = entries(ready, "transfer:closed")
    assert (closed["facts"]["outcome"], closed["facts"]["bytes"]) == ("agreement_terminated", 2048)
    assert closed["facts"]["sha256"] == sha256_hex(received)
    assert quota(ready) == (0, 1, 0, 2048)


def test_end_of_the_term_stops_a_running_stream(ready):
    source = source_of(ready, opened(ready))
    assert source.next()
    ready.clock.advance(timedelta(days=365))
    assert source.next() is None
    assert source.outcome == "expired"
    source.close()
    assert transfer(ready).outcome == "expired"


def test_damaged_object_breaks_the_stream_and_is_never_sent(ready):
    with ready.runtime.database.reading() as db:
        last = queries.files(db, "agr_1")[-1]
    path = ready.runtime.store.local_path(last.sha256)
    path.chmod(0o600)
    path.write_bytes(b"\xee" * last.bytes)
    source, received = source_of(ready, opened(ready)), b""
    while (window := source.next()) is not None:
        received += window
    source.close()
    assert b"\xee" * 64 not in received
    assert transfer(ready).outcome == "damaged"
    assert sum(length for _, length in covered(ready)) == len(received) == transfer(ready).served


def test_client_killed_midway_goes_on_with_its_key_and_counts_once(ready, client):
    whole = opened(ready, key="use-number-1")
    source = source_of(ready, whole)
    first = source.next() + source.next()
    # The process died here: nothing was closed.
    rest = client.get(DATA, params=GOOD, headers=KEY | {"Range": f"bytes={len(first)}-"})
    assert rest.status_code == 206
    assert rest.headers["X-Transfer-Id"] == whole.transfer
    assert sha256_hex(first + rest.content) == manifest(client)["content"]["tar"]["sha256"]
    assert quota(ready) == (0, 1, 0, len(first) + len(rest.content))
    assert [e["facts"]["outcome"] for e in entries(ready, "transfer:closed")] == ["superseded", "complete"]
    assert [e["facts"]["uses"] for e in entries(ready, "usage:allowed")] == [1, 0]


def test_former_stream_of_a_key_gets_no_further_window(ready, client):
    source = source_of(ready, opened(ready, key="use-number-1"))
    assert source.next()
    assert client.get(DATA, params=GOOD, headers=KEY).status_code == 200
    assert source.next() is None
    source.close()
    assert transfer(ready).outcome == "complete", "an old leg settles nothing of the new one"


def test_use_of_which_nothing_was_served_is_free_and_the_key_still_works(ready, client):
    source_of(ready, opened(ready, key="use-number-1")).close()
    assert quota(ready) == (0, 0, 0, 0)
    assert client.get(DATA, params=GOOD, headers=KEY).status_code == 200
    assert quota(ready)[:2] == (0, 1)


def test_key_names_one_intent(ready, client):
    assert client.get(DATA, params=GOOD, headers=KEY).status_code == 200
    for path, params in ((f"{DATA}/NOTICE.txt", GOOD), (DATA, {"purpose": "statistics"})):
        answer = client.get(path, params=params, headers=KEY)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/key-reused")


def test_going_on_is_decided_again(ready, client):
    assert client.get(DATA, params=GOOD, headers=KEY).status_code == 200
    rewrite(ready, Version, "ver_1", stage="suspended")
    assert client.get(DATA, params=GOOD, headers=KEY).json()["reasons"] == ["version_suspended"]


def test_orphan_is_swept_at_what_its_windows_logged(ready):
    source = source_of(ready, opened(ready))
    received = source.next() + source.next()
    assert service.sweep(ready.runtime) == 0
    ready.clock.advance(timedelta(seconds=61))
    assert service.sweep(ready.runtime) == 1
    assert (transfer(ready).outcome, transfer(ready).served) == ("orphaned", len(received))
    assert quota(ready) == (0, 1, 0, len(received))
    assert source.next() is None, "the late stream is fenced off"
    source.close()
    assert service.sweep(ready.runtime) == 0
    assert len(entries(ready, "transfer:closed")) == 1


def test_a_slow_stream_keeps_its_lease(ready):
    source = source_of(ready, opened(ready))
    for _ in range(3):
        assert source.next()
        ready.clock.advance(timedelta(seconds=50))
        assert service.sweep(ready.runtime) == 0


def test_no_connection_is_held_between_windows(ready):
    source = source_of(ready, opened(ready))
    source.next()
    assert ready.runtime.database.engine.pool.checkedout() == 0
    source.close()
