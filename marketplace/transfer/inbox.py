"""Where notices go: an address of each party's own choice, called until the notice was taken once."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import sha256_hex
from marketplace.kernel.errors import Conflict, Unavailable
from marketplace.participants import queries as participants
from marketplace.plumbing import outgoing
from marketplace.plumbing.runtime import Runtime
from marketplace.settings import Settings
from marketplace.transfer import queries
from marketplace.transfer.models import NoticeAddress, StopNotice


class AddressChanged(Conflict):
    """The address for notices is another one than you saw."""


class NoticeNotTaken(Unavailable):
    """The address for notices did not take the notice."""


def set_address(
    db: Session, actor: Actor, url: str, seen: str | None, settings: Settings, now: datetime
) -> NoticeAddress:
    """Have notices sent to a public https address from now on.

    seen: the ETag of the address that this one replaces, None for the first.
    Raises AddressChanged, OutgoingRefused.  Records: transfer:notice_address_set.
    """
    # There may be no row of an address to hold, so the party's own is: of two first addresses one comes second.
    participants.lock(db, participants.participant(db, actor.participant))
    known = queries.notice_address(db, actor.participant, lock=True)

    _require_seen(known, seen)
    outgoing.read_target(url, settings)

    address = known or NoticeAddress(party=actor.participant, url=url, set_at=now)
    address.url, address.set_at, address.number = url, now, address.number + 1
    db.add(address)
    db.flush()

    # The address itself stays out of the log: its path may be a secret of the participant.
    record(db, actor, Tag.NOTICE_ADDRESS_SET, now, facts={"address_sha256": sha256_hex(url.encode())})
    return address


def remove_address(db: Session, actor: Actor, seen: str | None, now: datetime) -> None:
    """Send no more notices; they stay in the inbox.  Removing none changes nothing.

    Raises AddressChanged.  Records: transfer:notice_address_removed.
    """
    known = queries.notice_address(db, actor.participant, lock=True)

    if known is None:
        return
    _require_seen(known, seen)

    db.delete(known)
    db.flush()

    facts = {"address_sha256": sha256_hex(known.url.encode())}
    record(db, actor, Tag.NOTICE_ADDRESS_REMOVED, now, facts=facts)


def etag(address: NoticeAddress) -> str:
    """What If-Match must say to change an address."""
    return f'"{sha256_hex(f"{address.number} {address.url}".encode())[:16]}"'


def push(runtime: Runtime, notice_id: str, party: str) -> None:
    """Send a notice to its reader's address, unless it was taken before; any answer of 200 to 299 takes it.

    The body is the notice's canonical bytes, `Notice-Signature` the detached JWS over them.
    Raises OutgoingRefused, OutgoingFailed, NoticeNotTaken: the outbox tries again.
    Records: transfer:notice_acknowledged.
    """
    with runtime.database.reading() as db:
        address, reader = queries.notice_address(db, party), queries.reader(db, notice_id, party)
        if address is None or reader.acknowledged_at is not None:
            return
        notice = db.get_one(StopNotice, notice_id)
        body = documents.get(db, notice.document).body
        (signature,) = documents.signatures(db, notice.document)

    headers = {"Content-Type": "application/json", "Notice-Id": notice_id, "Notice-Signature": signature.jws}
    answer = outgoing.post(address.url, body, headers=headers, settings=runtime.settings)
    if not 200 <= answer.status < 300:
        raise NoticeNotTaken("the address for notices did not take it", expected="200 to 299", got=str(answer.status))

    with runtime.database.transaction() as db:
        acknowledge(db, notice, party, answer.status, runtime.clock.now())


def acknowledge(db: Session, notice: StopNotice, party: str, status: int, now: datetime) -> None:
    """Note, once, that a party's address took a notice.  Records: transfer:notice_acknowledged."""
    reader = queries.reader(db, notice.id, party, lock=True)

    if reader.acknowledged_at is not None:
        return

    reader.acknowledged_at = now
    db.add(reader)

    facts = {"notice": notice.id, "document": notice.document, "party": party, "status": status}
    record(db, SERVICE_ACTOR, Tag.NOTICE_ACKNOWLEDGED, now, agreement=notice.agreement_id, facts=facts)


def _require_seen(known: NoticeAddress | None, seen: str | None) -> None:
    expected = etag(known) if known else None
    if seen != expected:
        raise AddressChanged(
            "the address for notices is another one than If-Match says",
            expected=f"If-Match: {expected}" if expected else "no If-Match, since there is no address",
            got=str(seen)[:80],
            action="GET /v1/participants/me/notice-address and use its ETag",
        )
