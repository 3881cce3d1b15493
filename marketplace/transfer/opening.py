"""Opening a transfer: the decision, the reservation and the entry of one use (design section 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlmodel import Session

from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, sha256_hex
from marketplace.kernel.errors import Conflict
from marketplace.kernel.ids import new_id
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.plumbing import epochs
from marketplace.plumbing.idempotency import KeyReused
from marketplace.plumbing.policy import Decision
from marketplace.plumbing.runtime import Runtime
from marketplace.transfer import queries, rules
from marketplace.transfer.body import Body, Part, file_body, tar_body
from marketplace.transfer.leaving import as_seen, shortfall
from marketplace.transfer.models import Delivery, Transfer
from marketplace.transfer.rules import RangeNotSatisfiable, Span, key_hash
from marketplace.transfer.service import close
from marketplace.transfer.watch import Ground
from marketplace.usage import queries as usage_queries
from marketplace.usage import quotas
from marketplace.usage import rules as usage_rules
from marketplace.usage import service as usage
from marketplace.usage.rules import Ruling, UseRequest


class DeliveryNotReady(Conflict):
    """The delivery of this agreement is still being prepared."""


class TransferBusy(Conflict):
    """Another request with the same Idempotency-Key is being answered."""


@dataclass(frozen=True)
class Download:
    """What a caller asks for.  path: a file of the delivery, None = the tar of all; range_header and key as sent."""

    agreement_id: str
    use: UseRequest
    path: str | None = None
    range_header: str | None = None
    if_range: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Representation:
    """The whole that a download is a part of."""

    body: Body
    sha256: str
    name: str
    manifest: str
    transformations: tuple[Json | str, ...]

    @property
    def etag(self) -> str:
        return f'"{self.sha256}"'


@dataclass(frozen=True)
class Opened:
    """An allowed use: what to send, the leg that fences its windows, and what it rests on."""

    transfer: str
    leg: int
    whole: Representation
    span: Span
    entry: str
    ground: Ground


@dataclass(frozen=True)
class Refused:
    """A refused use, already recorded."""

    decision: Decision
    entry: str


@dataclass(frozen=True)
class OutsideRange:
    """The use was allowed, but the range does not exist; nothing was taken or recorded.  size: bytes there are."""

    size: int
    error: RangeNotSatisfiable


def represent(db: Session, delivery: Delivery, path: str | None) -> Representation:
    """The tar of a delivery, or one file of it.  Raises NoSuchFile."""
    applied = tuple(delivery.transformations)
    if path is not None:
        row = queries.file(db, delivery.agreement_id, path)
        body = file_body(Part(row.path, row.sha256, row.bytes))
        return Representation(body, row.sha256, row.path.rsplit("/", 1)[-1], delivery.manifest, applied)
    files = queries.files(db, delivery.agreement_id)
    body = tar_body(Part(row.path, row.sha256, row.bytes) for row in files)
    return Representation(body, delivery.tar_sha256, f"{delivery.agreement_id}.tar", delivery.manifest, applied)


def open_transfer(runtime: Runtime, actor: Actor, asked: Download, now: datetime) -> Opened | Refused | OutsideRange:
    """Decide a use and, if it is allowed, reserve its quota; recorded here, or by the caller if raised or OutsideRange.

    Facts are read and the policy is asked before any lock; then one transaction confirms the epoch, reserves, and
    writes transfer and entry.  The same Idempotency-Key goes on with the use it named.
    Raises NoSuchAgreement, NoSuchFile, DeliveryNotReady, TransferBusy, KeyReused, UseSpent, ClockBehind.
    Records: usage:allowed or usage:refused.
    """
    _end_former_leg(runtime, actor, asked)
    skew = runtime.settings.clock_skew_seconds
    with runtime.database.reading() as db:
        now = usage_rules.floored(now, usage_queries.latest_entry(db), skew_seconds=skew)
        agreement = negotiation.agreement(db, asked.agreement_id)
        whole = _whole(db, actor, agreement, asked)
        former = _former(db, actor, asked)
        span, outside = _span(asked, whole)
        asked = replace(asked, use=as_seen(db, agreement, _priced(asked.use, span, former)))
        gathered = usage.gather(db, actor, agreement, asked.use, now)

    ruling = usage.judge(runtime, gathered)
    if ruling.decision.allow:
        if whole is None:
            raise DeliveryNotReady("the files are being prepared", action="try again in a few seconds")
        if outside is not None:
            return outside
        _check_continues(former, span, now, runtime)

    return runtime.database.grouped(lambda db: _commit(db, actor, agreement, asked, whole, span, ruling, now, runtime))


def _whole(db: Session, actor: Actor, agreement: Agreement, asked: Download) -> Representation | None:
    """None while nothing is prepared; a stranger is shown nothing of the delivery, not even what is missing from it."""
    delivery = queries.delivery(db, agreement.id)
    if delivery is None or actor.participant != agreement.buyer_id:
        return None
    return represent(db, delivery, asked.path)


def _span(asked: Download, whole: Representation | None) -> tuple[Span, OutsideRange | None]:
    if whole is None:
        return Span(0, 0, partial=False), None
    fits = asked.if_range is None or asked.if_range == whole.etag
    try:
        return rules.span(asked.range_header if fits else None, whole.body.size), None
    except RangeNotSatisfiable as error:
        return Span(0, 0, partial=True), OutsideRange(whole.body.size, error)


def _priced(use: UseRequest, span: Span, former: Transfer | None) -> UseRequest:
    """A use that was counted already asks for bytes only."""
    return replace(use, uses=0 if former is not None and former.uses else 1, bytes=span.length)


def _former(db: Session, actor: Actor, asked: Download) -> Transfer | None:
    """The transfer this key named before.  Raises KeyReused when it named something else."""
    row = queries.by_key(db, asked.agreement_id, actor.participant, key_hash(asked.key)) if asked.key else None
    if row is None:
        return None
    named, wanted = (row.path, row.purpose, row.action), (asked.path or "", asked.use.purpose, asked.use.action)
    if named != wanted:
        raise KeyReused(
            "the same Idempotency-Key came with another file, purpose or action",
            expected="the same request as before",
            action="use a new key for a new use",
        )
    return row


def _check_continues(former: Transfer | None, span: Span, now: datetime, runtime: Runtime) -> None:
    if former is not None:
        hours, most = runtime.settings.use_continues_hours, runtime.settings.use_legs
        sent = former.opened_at, former.served, former.size, span.length, former.leg
        rules.check_continues(*sent, now, hours=hours, most_legs=most)


def _end_former_leg(runtime: Runtime, actor: Actor, asked: Download) -> None:
    """Whoever comes back with the key has lost the former answer: it is settled before the use goes on."""
    if asked.key is None:
        return
    with runtime.database.reading() as db:
        former = _former(db, actor, asked)
    if former is not None and former.state == "open":
        row, now = former, runtime.clock.now()
        runtime.database.grouped(lambda db: close(db, actor, row.id, row.leg, rules.SUPERSEDED, now))


def _commit(
    db: Session,
    actor: Actor,
    agreement: Agreement,
    asked: Download,
    whole: Representation | None,
    span: Span,
    ruling: Ruling,
    now: datetime,
    runtime: Runtime,
) -> Opened | Refused:
    ruling = usage.confirm(db, ruling, now, runtime.settings)
    if ruling.decision.allow and runtime.soundness.reason is not None:
        ruling = ruling.refused(runtime.soundness.reason)
    # Locked before the quota, in the order of `service.close`.
    former = _resumable(db, actor, asked, span, now, runtime) if ruling.decision.allow else None
    if ruling.decision.allow and whole and (lack := shortfall(ruling, whole.transformations, asked.use)):
        ruling = ruling.refused(lack)
    if ruling.decision.allow and not _reserve(db, agreement, asked.use, ruling):
        ruling = ruling.refused(usage_rules.QUOTA_EXCEEDED)
    elif ruling.decision.allow:
        _check_first(db, actor, asked, former)
    if not ruling.decision.allow or whole is None:
        about: Json = {"manifest": whole.manifest if whole is not None else None}
        entry = usage.record_ruling(db, actor, agreement, ruling, now, about=about)
        return Refused(ruling.decision, entry)

    row = _open_row(actor, asked, whole, span, ruling, former, now, runtime)
    about = {
        "transfer": row.id,
        "leg": row.leg,
        "manifest": whole.manifest,
        "sha256": whole.sha256,
        "from": span.start,
        "to": span.end,
        "stops_at": ruling.stops_at,
        "change": epochs.changes(db),  # bumps are held off since the ruling was confirmed
    }
    about |= {"subjects": row.subjects, "size": row.size, "key": row.key, "path_sha256": sha256_hex(row.path.encode())}
    about["lease"] = runtime.settings.transfer_lease_seconds
    row.entry_id = usage.record_ruling(db, actor, agreement, ruling, now, about=about)
    db.merge(row)
    return Opened(row.id, row.leg, whole, span, row.entry_id, Ground(ruling.subjects, ruling.epoch, ruling.stops_at))


def _reserve(db: Session, agreement: Agreement, use: UseRequest, ruling: Ruling) -> bool:
    limits = usage_rules.limits(ruling.facts["uses"])
    quotas.hold(db, agreement.id, limits.less(*usage_queries.carried(db, agreement.id)))
    return quotas.reserve(db, agreement.id, uses=use.uses, volume=use.bytes)


def _open_row(
    actor: Actor,
    asked: Download,
    whole: Representation,
    span: Span,
    ruling: Ruling,
    former: Transfer | None,
    now: datetime,
    runtime: Runtime,
) -> Transfer:
    fresh = new_id("trf")
    return Transfer(
        id=former.id if former else fresh,
        agreement_id=asked.agreement_id,
        party=actor.participant,
        key=key_hash(asked.key) if asked.key else fresh,
        path=asked.path or "",
        purpose=asked.use.purpose,
        action=asked.use.action,
        manifest=whole.manifest,
        sha256=whole.sha256,
        size=whole.body.size,
        leg=former.leg + 1 if former else 1,
        leg_start=span.start,
        leg_end=span.end,
        leg_uses=asked.use.uses,
        served=former.served if former else 0,
        uses=former.uses if former else 0,
        subjects=list(ruling.subjects),
        epoch=ruling.epoch,
        stops_at=ruling.stops_at,
        lease_until=now + timedelta(seconds=runtime.settings.transfer_lease_seconds),
        opened_at=former.opened_at if former else now,
        entry_id="",
    )


def _resumable(
    db: Session, actor: Actor, asked: Download, span: Span, now: datetime, runtime: Runtime
) -> Transfer | None:
    """The closed transfer that this key goes on with, locked.  Raises TransferBusy: another request was faster."""
    former = queries.by_key(db, asked.agreement_id, actor.participant, key_hash(asked.key)) if asked.key else None
    if former is None:
        return None
    former = queries.held(db, former.id)
    if former.state == "open" or bool(former.uses) == bool(asked.use.uses):
        raise TransferBusy("the use this key names is being answered", action="try again, or use another key")
    _check_continues(former, span, now, runtime)
    return former


def _check_first(db: Session, actor: Actor, asked: Download, former: Transfer | None) -> None:
    """Behind the lock of the quota: nobody else has opened a use with this key meanwhile.  Raises TransferBusy."""
    if asked.key and not former and queries.by_key(db, asked.agreement_id, actor.participant, key_hash(asked.key)):
        raise TransferBusy("the use this key names is being answered", action="try again, or use another key")
