"""After a stop: what was still open is closed at its last logged window, and both parties get a signed notice.

No window is granted once the stop is committed, so the last byte that a notice names is final.  Lower rooms stop uses
and cannot call this one: the stop left an outbox row in its own transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.errors import Unavailable
from marketplace.kernel.ids import new_id
from marketplace.kernel.signing import SigningKey
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.participants.signatures import sign_as_service
from marketplace.plumbing import outbox
from marketplace.plumbing.runtime import Runtime
from marketplace.transfer import queries, rules
from marketplace.transfer.models import NoticeAddress, StopNotice, StopNoticeReader
from marketplace.transfer.service import close
from marketplace.usage import queries as usage_queries

KIND = "stop-notice"
PUSH_TASK = "transfer.push_notice"


class NoticesMissing(Unavailable):
    """Not every agreement that a stop concerns has its notice."""


@dataclass(frozen=True)
class Stopped:
    """One stop.  epochs: (subject, its epoch since the stop); reason: a code; entry: id of the stop's entry.

    stopped_at: when it was asked for; change: the count of bumps with it, which tells what came before and what after.
    """

    epochs: tuple[tuple[str, int], ...]
    reason: str
    stopped_by: str
    entry: str
    stopped_at: datetime
    change: int

    @classmethod
    def read(cls, told: dict[str, Any]) -> Self:
        """From what `plumbing.epochs.stop` put into the outbox."""
        return cls(
            tuple((subject, number) for subject, number in told["subjects"]),
            told["reason"],
            told["stopped_by"],
            told["entry"],
            parse_timestamp(told["stopped_at"]),
            told["change"],
        )


def notify_stop(runtime: Runtime, stopped: Stopped) -> int:
    """Tell the parties of every agreement that a stop concerns; returns how many notices were new.

    Each agreement in a transaction of its own, so that a crash in between loses and repeats nothing, and one that
    cannot be told holds up no other.  Raises NoticesMissing: asking again writes those that are missing.
    """
    subjects = [subject for subject, _ in stopped.epochs]
    with runtime.database.reading() as db:
        concerned = negotiation.resting_on(db, subjects, stopped.stopped_at, stopped.change)
    made, failed = 0, dict[str, Exception]()
    for agreement_id in concerned:
        try:
            with runtime.database.transaction() as db:
                made += notify(db, agreement_id, stopped, runtime.service_key, runtime.clock.now()) is not None
        except Exception as error:  # noqa: BLE001 - told of below, once the others have their notice
            failed[agreement_id] = error
    if failed:
        first, cause = next(iter(failed.items()))
        why = f"{first}: {type(cause).__name__}: {cause}"
        raise NoticesMissing(f"{len(failed)} of {len(concerned)} notices are missing", got=why) from cause
    return made


def notify(db: Session, agreement_id: str, stopped: Stopped, key: SigningKey, now: datetime) -> StopNotice | None:
    """Close what an agreement still had open and write its notice; None when the notice was written before.

    Records: transfer:closed for each open transfer, transfer:stop_notified.
    """
    agreement = negotiation.agreement(db, agreement_id)
    negotiation.lock_agreement(db, agreement)

    if queries.notice_of(db, agreement_id, stopped.entry) is not None:
        return None
    _close_stopped(db, agreement_id, stopped.reason, now)

    notice_id = new_id("ntc")
    content = _render(db, notice_id, agreement, stopped, now)
    parties = (agreement.provider_id, agreement.buyer_id)
    notice = issue(
        db,
        content,
        key,
        now,
        agreement=agreement_id,
        entry=stopped.entry,
        by=stopped.stopped_by,
        at=stopped.stopped_at,
        readers=parties,
    )

    facts: Json = {"notice": notice_id, "document": notice.document, "reason": stopped.reason, "stop": stopped.entry}
    facts |= {"transfers": len(content["transfers"]), "bytes": content["bytes_total"]}
    record(
        db,
        SERVICE_ACTOR,
        Tag.STOP_NOTIFIED,
        now,
        asset=agreement.asset_id,
        version=agreement.version_id,
        agreement=agreement_id,
        facts=facts,
    )
    return notice


def _close_stopped(db: Session, agreement_id: str, reason: str, now: datetime) -> None:
    """Close the transfers that can get no further window: a subject of theirs was stopped since they were opened."""
    for row in queries.open_of_agreement(db, agreement_id):
        if usage_queries.epoch(db, row.subjects) != row.epoch:
            close(db, SERVICE_ACTOR, row.id, row.leg, reason, now)


def issue(
    db: Session,
    content: Json,
    key: SigningKey,
    now: datetime,
    *,
    agreement: str | None,
    entry: str,
    by: str,
    at: datetime,
    readers: Sequence[str],
) -> StopNotice:
    """Sign a notice as the service, put it into its readers' inboxes, and send it to the address of whoever has one.

    content: its document, whose `notice`, `type` and `reason` it bears.  entry, by, at: of what it tells.
    """
    name = sign_as_service(db, documents.keep(db, content["type"], content, now, readers=readers), key, now=now)
    notice = StopNotice(
        id=content["notice"],
        kind=content["type"],
        agreement_id=agreement,
        stop_entry=entry,
        reason=content["reason"],
        stopped_by=by,
        stopped_at=at,
        document=name,
        made_at=now,
    )
    db.add(notice)
    db.flush()
    for party in readers:
        db.add(StopNoticeReader(notice_id=notice.id, party=party))
        if db.get(NoticeAddress, party) is not None:
            row = f"{notice.id}:{party}"
            outbox.enqueue(db, PUSH_TASK, {"notice": notice.id, "party": party}, key=row, now=now)
    db.flush()
    return notice


def _render(db: Session, notice_id: str, agreement: Agreement, stopped: Stopped, now: datetime) -> Json:
    """The document of `contracts/documents/stop-notice.schema.json`."""
    transfers = [_transfer(one) for one in _ended_by(db, agreement.id, stopped)]
    return {
        "type": KIND,
        "v": 1,
        "notice": notice_id,
        "agreement": {"id": agreement.id, "sha256": agreement.document},
        "asset": agreement.asset_id,
        "version": agreement.version_id,
        "provider": agreement.provider_id,
        "buyer": agreement.buyer_id,
        "reason": stopped.reason,
        "stopped_by": stopped.stopped_by,
        "stopped_at": timestamp(stopped.stopped_at),
        "stop_entry": stopped.entry,
        "epochs": [{"subject": subject, "number": number} for subject, number in stopped.epochs],
        "transfers": transfers,
        "bytes_total": sum(one["bytes"] for one in transfers),
        "made_at": timestamp(now),
    }


def _ended_by(db: Session, agreement_id: str, stopped: Stopped) -> list[Json]:
    """The closing entries of the legs that the stop cut short: not served in full, and open when it was asked for or
    opened while it waited for its turn."""
    later = {
        (facts["transfer"], facts["leg"])
        for _, facts in queries.uses_logged(db, agreement_id, Tag.USE_ALLOWED, stopped.stopped_at)
        if facts["change"] >= stopped.change
    }
    # A leg that a stop ends is closed with a time that is not before the log, so not before the stop's own.
    closed = queries.uses_logged(db, agreement_id, Tag.TRANSFER_CLOSED, stopped.stopped_at)
    return [
        facts | {"closed_entry": entry}
        for entry, facts in closed
        if facts["outcome"] != rules.COMPLETE and (facts["transfer"], facts["leg"]) not in later
    ]


def _transfer(closed: Json) -> Json:
    first, length = closed["from"], closed["bytes"]
    return {
        "transfer": closed["transfer"],
        "leg": closed["leg"],
        "outcome": closed["outcome"],
        "from": first,
        "last_byte": first + length - 1 if length else None,
        "bytes": length,
        "sha256": closed["sha256"] or None,
        "closed_entry": closed["closed_entry"],
    }
