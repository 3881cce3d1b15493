"""A transfer that we push: the use of a pull, its bytes at the consumer's address, broken lines, stops and ends."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlmodel import col, select

from marketplace.audit.entry import Tag
from marketplace.audit.recheck import sealed_rows
from marketplace.dataspace import pushing, queries
from marketplace.dataspace.messages import HTTP_ENDPOINT
from marketplace.dataspace.models import Exchange, Push
from marketplace.dataspace.showing import WITHHELD, shown_in_full
from marketplace.dataspace.states import Protocol
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import Json
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.plumbing.outbox import OutboxRow
from marketplace.transfer import outflow
from marketplace.transfer.recheck import recheck
from tests.dataspace.peer import Peer, message, speaking
from tests.dataspace.schemas import problems_of
from tests.dataspace.test_house import THEIRS, agreed, put_files, say, settle
from tests.exchange.parts import certified, listed
from tests.house import House
from tests.negotiation.parts import WHY
from tests.negotiation.succession.parts import resume
from tests.transfer.doors import entries
from workers.relay import run_due

T = Protocol.TRANSFER
TOKEN = "short-lived-token-of-the-receiver"


@pytest.fixture
def listing(house: House) -> Listing:
    version = certified(house)
    put_files(house, version)
    return listed(house, version)


@pytest.fixture
def peer(house: House) -> Iterator[Peer]:
    settings = house.runtime.settings.model_copy(update={"window_kib": 1, "stop_watch_ms": 1})
    with speaking(replace(house, runtime=replace(house.runtime, settings=settings))) as found:
        yield found


def address(peer: Peer, **changes: Any) -> Json:
    """The consumer's own address, with a token of its own."""
    named = {"authorization": TOKEN, "authType": "bearer"}
    listed = [{"@type": "EndpointProperty", "name": name, "value": value} for name, value in named.items()]
    whole = {"@type": "DataAddress", "endpointType": HTTP_ENDPOINT, "endpoint": f"{peer.heard.origin}/inbox/1"}
    return whole | {"endpointProperties": listed} | changes


def ask(peer: Peer, agreement: str, **changes: Any) -> Any:
    asked = {"agreementId": agreement, "format": "HttpData-PUSH", "consumerPid": THEIRS, "dataAddress": address(peer)}
    body = message(T, "request", callbackAddress=peer.heard.origin, **(asked | changes))
    return peer.post("/transfers/request", {name: one for name, one in body.items() if one is not None})


def started(peer: Peer, listing: Listing) -> tuple[str, str]:
    """A push in STARTED whose first byte has not left; returns the agreement and our process id."""
    _, agreement = agreed(peer, listing)
    ours = ask(peer, agreement).json()["providerPid"]
    assert peer.deliver() == 1
    (_, start, _) = peer.heard.received.pop()
    assert problems_of(start) == []
    assert (start["@type"], "dataAddress" in start) == ("TransferStartMessage", False)
    return agreement, ours


def work(peer: Peer, seconds: float = 0) -> int:
    """Let time pass and make the attempts that are due; returns how many there were."""
    peer.house.clock.advance(timedelta(seconds=seconds))
    return run_due(peer.house.runtime, only=["dataspace.push"])


def told(peer: Peer) -> list[Json]:
    """What the other side was told meanwhile."""
    peer.deliver(0)
    found = [body for _, body, _ in peer.heard.received]
    peer.heard.received.clear()
    return found


def row(peer: Peer, ours: str) -> Push:
    with peer.house.runtime.database.reading() as db:
        return db.get_one(Push, ours)


def test_a_push_brings_the_whole_delivery_as_one_use_and_then_says_so(
    peer: Peer, listing: Listing, house: House
) -> None:
    _, ours = started(peer, listing)
    assert entries(house, Tag.USE_ALLOWED) == []
    assert work(peer) == 1
    inbox = peer.heard.inbox
    (request,) = inbox.requests
    digest = hashlib.sha256(inbox.kept).digest()
    assert request["repr-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
    assert (request["authorization"], "content-range" in request) == (f"Bearer {TOKEN}", False)
    (use,) = entries(house, Tag.USE_ALLOWED)
    (closed,) = entries(house, Tag.TRANSFER_CLOSED)
    assert (request["x-transfer-id"], request["x-entry-id"]) == (use["facts"]["transfer"], use["id"])
    assert (closed["facts"]["outcome"], closed["facts"]["bytes"]) == ("complete", len(inbox.kept))
    assert sum(one["facts"]["length"] for one in entries(house, Tag.WINDOW_SERVED)) == len(inbox.kept)
    assert len(entries(house, Tag.COST_METERED)) >= 1

    (done,) = told(peer)
    assert (done["@type"], problems_of(done)) == ("TransferCompletionMessage", [])
    assert peer.get(f"/transfers/{ours}").json()["state"] == "COMPLETED"
    assert (row(peer, ours).state, row(peer, ours).reached, row(peer, ours).status) == (
        "acknowledged",
        len(inbox.kept),
        201,
    )
    assert work(peer, 600) == 0, "what has arrived is not sent again"
    with house.runtime.database.reading() as db:
        assert [*(one for one in sealed_rows(db) if "dataspace" in str(one)), *recheck(db)] == []
        exchange = queries.exchange(db, ours)
        kept = exchange.model_dump_json() + "".join(one.model_dump_json() for one in queries.messages(db, ours))
    assert TOKEN not in kept, "the token is forgotten with the end of the transfer"
    assert exchange.data_address["endpointType"] == HTTP_ENDPOINT


def test_a_broken_push_goes_on_where_the_receiver_says_and_stays_one_use(
    peer: Peer, listing: Listing, house: House
) -> None:
    _, ours = started(peer, listing)
    inbox = peer.heard.inbox
    inbox.breaks_after = 3000
    work(peer)
    kept = len(inbox.kept)
    assert (row(peer, ours).state, told(peer)) == ("waiting", [])
    assert work(peer, 0.5) == 0, "the first pause is a second"
    assert work(peer, 1) == 1
    whole, question, rest = inbox.requests
    size = int(whole["content-length"])
    assert question["content-range"] == f"bytes */{size}"
    assert rest["content-range"] == f"bytes {kept}-{size - 1}/{size}"
    assert rest["repr-digest"] == whole["repr-digest"], "the digest is that of the whole"
    assert base64.b64encode(hashlib.sha256(inbox.kept).digest()).decode() in whole["repr-digest"]
    legs = [one["facts"] for one in entries(house, Tag.TRANSFER_CLOSED)]
    assert [(one["outcome"], one["leg"]) for one in legs] == [("broken", 1), ("complete", 2)]
    assert len({one["transfer"] for one in legs}) == 1
    assert [one["@type"] for one in told(peer)] == ["TransferCompletionMessage"]


def test_a_push_that_our_own_crash_broke_sends_and_charges_no_byte_twice(
    peer: Peer, listing: Listing, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ours = started(peer, listing)
    inbox = peer.heard.inbox
    inbox.breaks_after = 3000
    with monkeypatch.context() as crash:
        crash.setattr(outflow.Outflow, "close", lambda _: None)
        crash.setattr(pushing, "_conclude", _dies)
        work(peer)
    kept = len(inbox.kept)
    assert (row(peer, ours).state, row(peer, ours).reached) == ("pushing", 0)
    assert work(peer, 10) == 1
    whole, question, rest = inbox.requests
    size = int(whole["content-length"])
    assert (question["content-range"], rest["content-range"]) == (
        f"bytes */{size}",
        f"bytes {kept}-{size - 1}/{size}",
    )
    assert len(entries(house, Tag.USE_ALLOWED)) == 2
    legs = [one["facts"] for one in entries(house, Tag.TRANSFER_CLOSED)]
    assert [one["outcome"] for one in legs] == ["superseded", "complete"]
    assert sum(one["facts"]["length"] for one in entries(house, Tag.WINDOW_SERVED)) < 2 * size - kept
    assert [one["@type"] for one in told(peer)] == ["TransferCompletionMessage"]


def test_an_attempt_that_ended_before_a_crash_is_not_made_again(peer: Peer, listing: Listing, house: House) -> None:
    _, ours = started(peer, listing)
    inbox = peer.heard.inbox
    inbox.statuses = [503]
    work(peer)
    requests = len(inbox.requests)
    with house.db() as db:
        (first,) = db.exec(
            select(OutboxRow).where(OutboxRow.task == "dataspace.push", col(OutboxRow.done_at).is_not(None))
        )
        first.done_at = None  # the process died before it could say so
        db.add(first)
    assert (work(peer), len(inbox.requests), row(peer, ours).attempts) == (1, requests, 1)
    assert work(peer, 1) == 1, "only the attempt that follows it is made"
    assert row(peer, ours).state == "acknowledged"
    with house.runtime.database.reading() as db:
        asked = db.exec(select(OutboxRow).where(OutboxRow.task == "dataspace.push")).all()
    assert len(asked) == 2


def _dies(*_: object) -> None:
    raise RuntimeError("the process is gone")


def test_a_receiver_that_keeps_no_parts_gets_the_whole_again(peer: Peer, listing: Listing) -> None:
    _, ours = started(peer, listing)
    inbox = peer.heard.inbox
    inbox.resumes, inbox.breaks_after = False, 3000
    work(peer)
    work(peer, 1)
    first, _question, second = inbox.requests
    assert second["content-length"] == first["content-length"]
    assert "content-range" not in second
    assert row(peer, ours).state == "acknowledged"


def test_an_attempt_that_lasts_too_long_makes_room_and_is_gone_on_with(
    peer: Peer, listing: Listing, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ours = started(peer, listing)
    inbox, later = peer.heard.inbox, [0]
    monkeypatch.setattr(outflow, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + later[0]))
    inbox.at = (2048, lambda: later.__setitem__(0, house.runtime.settings.dataspace_push_seconds))
    work(peer)
    kept = len(inbox.kept)
    assert 2048 <= kept < int(inbox.requests[0]["content-length"])
    assert (row(peer, ours).state, told(peer)) == ("waiting", [])
    assert work(peer, 1) == 1
    assert inbox.requests[-1]["content-range"].startswith(f"bytes {kept}-")
    legs = [one["facts"]["outcome"] for one in entries(house, Tag.TRANSFER_CLOSED)]
    assert legs == ["broken", "complete"]
    assert [one["@type"] for one in told(peer)] == ["TransferCompletionMessage"]


def test_a_lost_answer_is_asked_for_and_nothing_is_sent_twice(peer: Peer, listing: Listing, house: House) -> None:
    started(peer, listing)
    inbox = peer.heard.inbox
    original = inbox.take

    def lost(headers: dict[str, str], body: Any) -> Any:
        answer = original(headers, body)
        return None if answer == (201, {}) else answer

    inbox.take = lost  # type: ignore[method-assign]
    work(peer)
    inbox.take = lambda headers, body: (200, {})  # type: ignore[method-assign]
    work(peer, 1)
    assert [one["@type"] for one in told(peer)] == ["TransferCompletionMessage"]
    assert len(entries(house, Tag.USE_ALLOWED)) == 1


def test_a_receiver_that_stays_away_ends_the_transfer_visibly(peer: Peer, listing: Listing, house: House) -> None:
    _, ours = started(peer, listing)
    peer.heard.inbox.statuses = [503] * 50
    attempts = 0
    while done := work(peer, 400):
        attempts += done
    assert (attempts, row(peer, ours).state, row(peer, ours).status) == (11, "given_up", 503)
    (end,) = told(peer)
    assert (end["@type"], end["code"], problems_of(end)) == (
        "TransferTerminationMessage",
        "push_undeliverable",
        [],
    )
    assert peer.get(f"/transfers/{ours}").json()["state"] == "TERMINATED"
    legs = [one["facts"]["outcome"] for one in entries(house, Tag.TRANSFER_CLOSED)]
    assert legs == ["broken"], "who does not answer the question what came gets no further byte"


def test_a_receiver_that_refuses_is_not_asked_again(peer: Peer, listing: Listing) -> None:
    _, ours = started(peer, listing)
    peer.heard.inbox.statuses = [403]
    assert (work(peer), work(peer, 600)) == (1, 0)
    (end,) = told(peer)
    assert (end["code"], row(peer, ours).state, row(peer, ours).status) == ("push_refused", "refused", 403)


def test_suspending_stops_the_bytes_in_the_middle_and_a_start_goes_on_there(
    peer: Peer, listing: Listing, house: House
) -> None:
    _, ours = started(peer, listing)
    inbox = peer.heard.inbox
    answers: list[int] = []
    inbox.at = (2048, lambda: answers.append(say(peer, T, ours, "suspend", "suspension").status_code))
    work(peer)
    assert answers == [200]
    size = int(inbox.requests[0]["content-length"])
    kept = len(inbox.kept)
    assert 2048 <= kept < size
    (closed,) = entries(house, Tag.TRANSFER_CLOSED)
    assert closed["facts"]["outcome"] == "transfer_stopped"
    assert (row(peer, ours).state, work(peer, 600), told(peer)) == ("stopped", 0, [])

    fresh = address(peer, endpoint=f"{peer.heard.origin}/inbox/2")
    again = say(peer, T, ours, "start", "start", dataAddress=fresh)
    assert (again.status_code, "dataAddress" in again.json()) == (200, False)
    assert work(peer) == 1
    assert inbox.requests[-1]["content-range"] == f"bytes {kept}-{size - 1}/{size}"
    assert len(inbox.kept) == size
    assert [one["@type"] for one in told(peer)] == ["TransferCompletionMessage"]


def test_terminating_stops_the_bytes_for_good(peer: Peer, listing: Listing, house: House) -> None:
    _, ours = started(peer, listing)
    inbox = peer.heard.inbox
    inbox.at = (2048, lambda: say(peer, T, ours, "terminate", "termination"))
    work(peer)
    assert len(inbox.kept) < int(inbox.requests[0]["content-length"])
    assert (work(peer, 600), told(peer), len(inbox.requests)) == (0, [], 1)
    assert peer.get(f"/transfers/{ours}").json()["state"] == "TERMINATED"
    assert [one["facts"]["outcome"] for one in entries(house, Tag.TRANSFER_CLOSED)] == ["transfer_stopped"]


def test_a_push_rests_with_its_agreement_and_goes_on_with_it(peer: Peer, listing: Listing, house: House) -> None:
    agreement, _ = started(peer, listing)
    with house.db() as db:
        stopping.suspend(db, house.cast["hospital"].actor, negotiation.agreement(db, agreement), WHY, house.clock.now())
    work(peer)
    assert [one["@type"] for one in settle(peer)] == ["TransferSuspensionMessage"]
    assert (peer.heard.inbox.kept, peer.heard.inbox.requests) == (b"", [])
    resume(house, agreement, "hospital")
    found = [one["@type"] for one in settle(peer)]
    assert found == ["TransferStartMessage"]
    work(peer, 1)
    assert [one["@type"] for one in told(peer)] == ["TransferCompletionMessage"]
    assert len(entries(house, Tag.USE_ALLOWED)) == 1


def in_a_bucket(**changes: str) -> Json:
    named = {"region": "eu-example-1", "bucketName": "deliveries", "accessKeyId": "k", "secretAccessKey": "s"} | changes
    listed = [{"@type": "EndpointProperty", "name": name, "value": value} for name, value in named.items() if value]
    return {"@type": "DataAddress", "endpointType": "AmazonS3", "endpointProperties": listed}


def test_nothing_is_pushed_to_where_the_connector_does_not_stand(peer: Peer, listing: Listing, house: House) -> None:
    _, agreement = agreed(peer, listing)
    bucket, here = {"format": "AmazonS3-PUSH"}, {"endpointOverride": peer.heard.origin}
    for changes, code in (
        ({"dataAddress": None}, "bad-destination"),
        ({"dataAddress": address(peer, endpoint="http://169.254.169.254/latest")}, "address-not-registered"),
        ({"dataAddress": address(peer, endpoint="http://127.0.0.1:1/")}, "address-not-registered"),
        ({"dataAddress": address(peer, endpoint="https://public.example/inbox")}, "address-not-registered"),
        ({"dataAddress": address(peer, endpoint="file:///etc/passwd")}, "outgoing-refused"),
        ({"dataAddress": address(peer, endpointType="example")}, "bad-destination"),
        ({"format": "HttpData-OTHER"}, "format-not-offered"),
        (bucket, "bad-destination"),
        (bucket | {"dataAddress": in_a_bucket()}, "address-not-registered"),  # Amazon's own is not registered
        (bucket | {"dataAddress": in_a_bucket(endpointOverride="http://127.0.0.1:1")}, "address-not-registered"),
        (bucket | {"dataAddress": in_a_bucket(**here, secretAccessKey="")}, "bad-destination"),
        (bucket | {"dataAddress": in_a_bucket(**here, objectName="../others/object")}, "bad-destination"),
        (bucket | {"dataAddress": in_a_bucket(**here, bucketName="a/b")}, "bad-destination"),
        (bucket | {"dataAddress": in_a_bucket(**here, region="x@elsewhere")}, "bad-destination"),
    ):
        answer = ask(peer, agreement, **changes)
        assert (answer.status_code, answer.json()["code"]) == (400, code), changes
        assert problems_of(answer.json()) == []
    with house.runtime.database.reading() as db:
        assert list(queries.transfers_under(db, agreement)) == []


def test_a_resuming_consumer_cannot_turn_the_bytes_elsewhere(peer: Peer, listing: Listing) -> None:
    _, ours = started(peer, listing)
    assert say(peer, T, ours, "suspend", "suspension").status_code == 200
    elsewhere = address(peer, endpoint="http://127.0.0.1:1/inbox")
    answer = say(peer, T, ours, "start", "start", dataAddress=elsewhere)
    assert (answer.status_code, answer.json()["code"]) == (400, "address-not-registered")
    assert peer.get(f"/transfers/{ours}").json()["state"] == "SUSPENDED"


def test_nobody_here_reads_the_receivers_token(peer: Peer, listing: Listing, house: House) -> None:
    _, ours = started(peer, listing)
    for who in ("auditor", "hospital"):
        with house.runtime.database.reading() as db:
            exchange: Exchange = queries.own(db, house.cast[who].actor, ours)
            found = shown_in_full(house.cast[who].actor, exchange, queries.messages(db, ours), db.get(Push, ours))
        assert TOKEN not in found.model_dump_json()
        assert found.data_address["endpointProperties"] == WITHHELD
        assert found.push is not None
        assert found.push.state == "waiting"


def test_pushes_to_one_buyer_take_turns(peer: Peer, listing: Listing, house: House) -> None:
    agreement, first = started(peer, listing)
    second = ask(peer, agreement, consumerPid="urn:peer:2").json()["providerPid"]
    told(peer)
    waits = list[tuple[str, int]]()

    def meanwhile() -> None:
        work(peer)
        waits.append((row(peer, second).state, row(peer, second).attempts))

    peer.heard.inbox.at = (1, meanwhile)
    assert work(peer) >= 1
    assert waits == [("waiting", 0)], "the second one is not begun while bytes of the first one leave"
    assert (row(peer, first).state, len(peer.heard.inbox.requests)) == ("acknowledged", 1)
    work(peer, 5)
    assert (row(peer, second).state, row(peer, second).attempts) == ("acknowledged", 1)
    assert len(entries(house, Tag.USE_ALLOWED)) == 2
