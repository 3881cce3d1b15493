"""A push into a bucket of the consumer's, against a real S3 server: parts, broken uploads, keys that are forgotten."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Entry
from marketplace.dataspace import multipart, queries
from marketplace.dataspace.models import Push
from marketplace.exchange.models import Listing
from marketplace.kernel.canonical import Json
from marketplace.plumbing.outbox import OutboxRow
from marketplace.transfer.recheck import recheck
from tests.dataspace import buckets
from tests.dataspace.buckets import Bucket
from tests.dataspace.peer import Peer, speaking
from tests.dataspace.test_house import agreed, say
from tests.dataspace.test_pushes import T, ask, told, work
from tests.exchange.parts import certified, listed
from tests.hostile.story import _files as put_files
from tests.house import House
from tests.transfer.doors import entries

GATEWAY = buckets.gateway()
pytestmark = pytest.mark.skipif(GATEWAY is None, reason="no S3 server here: `make s3` builds one where Go is")
PIXELS = 1700  # two slices of 5.5 MiB: three parts of the smallest size that S3 joins


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    assert GATEWAY is not None
    with buckets.serving(GATEWAY, tmp_path / "s3") as found:
        yield found


@pytest.fixture
def peer(house: House, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    # The story's clock stands still at a day of its own; the server looks at the real one.
    monkeypatch.setattr(multipart, "signed_at", lambda _: datetime.now(UTC))
    monkeypatch.setattr(multipart, "PART", 5 << 20)
    settings = house.runtime.settings.model_copy(update={"stop_watch_ms": 1})
    with speaking(replace(house, runtime=replace(house.runtime, settings=settings)), more=[bucket.origin]) as found:
        yield found


def started(peer: Peer, bucket: Bucket, pixels: int = 64, **changes: str) -> str:
    """A push into the bucket in STARTED; returns our process id."""
    version = certified(peer.house)
    put_files(peer.house, version, pixels)
    listing: Listing = listed(peer.house, version)
    _, agreement = agreed(peer, listing)
    answer = ask(peer, agreement, format="AmazonS3-PUSH", dataAddress=address(bucket, **changes))
    assert answer.status_code == 201, answer.text
    assert peer.deliver() == 1
    peer.heard.received.clear()
    return str(answer.json()["providerPid"])


def address(bucket: Bucket, **changes: str) -> Json:
    named = {
        "region": buckets.REGION,
        "bucketName": buckets.BUCKET,
        "objectName": "from/hospital.tar",
        "endpointOverride": bucket.origin,
        "accessKeyId": buckets.IDENTITY,
        "secretAccessKey": buckets.SECRET,
    } | changes
    listed = [{"@type": "EndpointProperty", "name": name, "value": value} for name, value in named.items()]
    return {"@type": "DataAddress", "endpointType": "AmazonS3", "endpointProperties": listed}


def row(peer: Peer, ours: str) -> Push:
    with peer.house.runtime.database.reading() as db:
        return db.get_one(Push, ours)


def everything_kept(house: House, ours: str) -> str:
    """What the exchange, its messages, the log and the outbox hold, as text."""
    with house.runtime.database.reading() as db:
        rows = [queries.exchange(db, ours), *queries.messages(db, ours), *db.exec(select(OutboxRow)).all()]
        bodies = [one.body.decode() for one in db.exec(select(Entry)).all()]
        return "".join([*(one.model_dump_json() for one in rows), *bodies])


def test_a_delivery_is_put_into_the_bucket_in_parts_and_its_keys_are_forgotten(
    peer: Peer, bucket: Bucket, house: House
) -> None:
    ours = started(peer, bucket, PIXELS)
    assert work(peer) == 1
    assert [one["@type"] for one in told(peer)] == ["TransferCompletionMessage"]
    (made,) = bucket.objects
    content = made.read_bytes()
    assert made.relative_to(bucket.folder) == Path("from/hospital.tar")
    assert len(content) > 2 * multipart.PART
    (use,) = entries(house, Tag.USE_ALLOWED)
    (closed,) = entries(house, Tag.TRANSFER_CLOSED)
    assert use["facts"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert (closed["facts"]["outcome"], closed["facts"]["bytes"]) == ("complete", len(content))
    assert len(entries(house, Tag.COST_METERED)) >= 1
    assert (row(peer, ours).state, row(peer, ours).reached) == ("acknowledged", len(content))
    kept = everything_kept(house, ours)
    assert buckets.SECRET not in kept
    assert buckets.IDENTITY not in kept
    with house.runtime.database.reading() as db:
        assert list(recheck(db)) == []


def test_a_suspended_upload_goes_on_with_the_part_that_it_lacks(
    peer: Peer, bucket: Bucket, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = started(peer, bucket, PIXELS)
    answers, real = list[Any](), multipart.BucketReceiver._put

    def suspended_before_the_second(receiver: Any, outflow: Any, length: int) -> None:
        if outflow.sent and not answers:
            answers.append(say(peer, T, ours, "suspend", "suspension").status_code)
        real(receiver, outflow, length)

    monkeypatch.setattr(multipart.BucketReceiver, "_put", suspended_before_the_second)
    work(peer)
    assert (answers, bucket.objects) == ([200], [])
    assert [one["facts"]["outcome"] for one in entries(house, Tag.TRANSFER_CLOSED)] == ["transfer_stopped"]
    assert say(peer, T, ours, "start", "start", dataAddress=address(bucket)).status_code == 200
    assert work(peer) == 1
    legs = [one["facts"] for one in entries(house, Tag.TRANSFER_CLOSED)]
    assert (legs[1]["outcome"], legs[1]["from"]) == ("complete", multipart.PART)
    (made,) = bucket.objects
    (_, use) = entries(house, Tag.USE_ALLOWED)
    assert hashlib.sha256(made.read_bytes()).hexdigest() == use["facts"]["sha256"]
    assert [one["@type"] for one in told(peer)] == ["TransferCompletionMessage"]
    assert buckets.SECRET not in everything_kept(house, ours)


def test_a_terminated_upload_leaves_no_parts_behind(
    peer: Peer, bucket: Bucket, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = started(peer, bucket, PIXELS)
    seen, real = list[int](), multipart.BucketReceiver._put

    def terminated_before_the_second(receiver: Any, outflow: Any, length: int) -> None:
        if outflow.sent:
            seen.append(len(bucket.parts))
            assert say(peer, T, ours, "terminate", "termination").status_code == 200
        real(receiver, outflow, length)

    monkeypatch.setattr(multipart.BucketReceiver, "_put", terminated_before_the_second)
    work(peer)
    assert (seen, bucket.parts, bucket.objects, work(peer, 600)) == ([1], [], [], 0)
    assert buckets.SECRET not in everything_kept(house, ours)


def test_keys_that_the_bucket_does_not_take_end_the_transfer_visibly(peer: Peer, bucket: Bucket, house: House) -> None:
    ours = started(peer, bucket, secretAccessKey="another-secret-of-somebody")
    assert (work(peer), work(peer, 600)) == (1, 0)
    (end,) = told(peer)
    assert (end["code"], row(peer, ours).state, row(peer, ours).status) == ("push_refused", "refused", 403)
    assert bucket.objects == []
    assert sum(one["facts"]["bytes"] for one in entries(house, Tag.TRANSFER_CLOSED)) == 0
    assert "another-secret-of-somebody" not in everything_kept(house, ours)
