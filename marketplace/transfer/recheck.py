"""Re-check uses, quotas and deliveries against the log: what was reserved, served and settled is told by entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Document
from marketplace.audit.recheck import RowFinding, Told, rows, told
from marketplace.collection.recheck import damaged
from marketplace.exchange.terms import quota
from marketplace.kernel.canonical import Json, read_strictly, sha256_hex
from marketplace.kernel.clock import parse_timestamp, timestamp
from marketplace.kernel.errors import DomainError
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement
from marketplace.plumbing import epochs, outbox
from marketplace.plumbing.storage import ObjectStore
from marketplace.transfer.models import Delivery, DeliveryFile, StopNotice, Transfer
from marketplace.transfer.notices import Stopped
from marketplace.usage import queries as usage_queries
from marketplace.usage.models import UsageQuota
from marketplace.usage.rules import Limits

TOLD_WITHIN = timedelta(minutes=5)


@dataclass
class _Use:
    """A transfer as its entries tell it.  leg_*: of the present leg; served, uses: of the legs that are closed.

    opened_at, alive_at: of its first leg and of its last sign of life; lease: seconds of silence allowed since.
    """

    agreement: str | None
    entry: str
    opened_at: str
    alive_at: str = ""
    lease: int = 0
    row: dict[str, Any] = field(default_factory=dict)
    leg_uses: int = 0
    uses: int = 0
    served: int = 0

    def opened(self, entry: Told, facts: Json) -> None:
        self.entry = entry.id
        self.leg_uses = facts["uses"]
        self.alive_at, self.lease = entry.at, facts["lease"]
        self.row |= {
            "state": "open",
            "outcome": "",
            "party": entry.actor,
            "purpose": facts["purpose"],
            "action": facts["action"],
            "manifest": facts["manifest"],
            "sha256": facts["sha256"],
            "epoch": facts["epoch"],
            "leg": facts["leg"],
            "leg_start": facts["from"],
            "leg_end": facts["to"],
            "leg_uses": facts["uses"],
            "leg_served": 0,
            "running_sha256": "",
            "entry_id": entry.id,
            "stops_at": facts["stops_at"],
            "subjects": facts["subjects"],
            "size": facts["size"],
            "key": facts["key"],
            "path_sha256": facts["path_sha256"],
            "closed_at": None,
        }

    def window(self, entry: Told, facts: Json) -> bool:
        """Take a window; False when it does not follow the one before."""
        follows: bool = (facts["leg"], facts["offset"]) == (
            self.row["leg"],
            self.row["leg_start"] + self.row["leg_served"],
        )
        self.row["leg_served"] += facts["length"]
        self.row["running_sha256"] = facts["running_sha256"]
        self.alive_at = entry.at
        return follows and self.row["state"] == "open"

    def closed(self, entry: Told, facts: Json) -> None:
        self.row |= {"state": "closed", "outcome": facts["outcome"], "closed_at": entry.at}
        self.served += facts["bytes"]
        # As `service.close` counts: a leg that served nothing counts only when nothing was to be served.
        self.uses += self.leg_uses if facts["bytes"] or facts["outcome"] == "complete" else 0

    def expected(self) -> dict[str, Any]:
        """The columns of its row."""
        lease_until = parse_timestamp(self.alive_at) + timedelta(seconds=self.lease)
        moments = {"opened_at": self.opened_at, "lease_until": timestamp(lease_until)}
        return self.row | moments | {"agreement_id": self.agreement, "served": self.served, "uses": self.uses}


def recheck(db: Session) -> Iterator[RowFinding]:
    """Transfers, quotas and deliveries that differ from what the entries tell."""
    uses: dict[str, _Use] = {}
    for entry, facts in told(db, Tag.USE_ALLOWED, Tag.WINDOW_SERVED, Tag.TRANSFER_CLOSED):
        try:
            yield from _take(uses, entry, facts)
        except (KeyError, TypeError):
            yield RowFinding("entry", entry.id, "edited", "the facts of this use are not complete", entry.id)
    yield from _transfers(db, uses)
    yield from _quotas(db, uses)
    yield from _deliveries(db)
    yield from _stops(db)


def recheck_objects(db: Session, store: ObjectStore) -> Iterator[RowFinding]:
    """Delivered files whose object is missing or damaged; it reads every byte."""
    for name in db.exec(select(DeliveryFile.sha256).distinct().order_by(DeliveryFile.sha256)).all():
        yield from damaged(store, name)


def _take(uses: dict[str, _Use], entry: Told, facts: Json) -> Iterator[RowFinding]:
    name = facts["transfer"]
    if entry.tag == Tag.USE_ALLOWED:
        uses.setdefault(name, _Use(entry.agreement, entry.id, entry.at)).opened(entry, facts)
    elif name not in uses:
        yield RowFinding("entry", entry.id, "inserted", f"no use named {name} was allowed", entry.id)
    elif entry.tag == Tag.WINDOW_SERVED:
        if not uses[name].window(entry, facts):
            yield RowFinding("entry", entry.id, "inserted", "the window does not follow the one before", entry.id)
    else:
        uses[name].closed(entry, facts)


def _transfers(db: Session, uses: dict[str, _Use]) -> Iterator[RowFinding]:
    missing = dict(uses)
    for row in rows(db, Transfer):
        if isinstance(row, RowFinding):
            missing.pop(row.key, None)
            yield row
            continue
        use = missing.pop(row.id, None)
        if use is None:
            yield RowFinding("transfer", row.id, "inserted", "no entry of the log allowed this use")
            continue
        for name, value in use.expected().items():
            if _held(row, name) != value:
                yield RowFinding("transfer", row.id, "edited", f"column `{name}` differs", use.entry)
    for name, use in missing.items():
        yield RowFinding("transfer", name, "deleted", "a use that was allowed is missing", use.entry)


def _held(row: Transfer, name: str) -> Any:
    """A column as entries write it."""
    if name == "path_sha256":
        return sha256_hex(row.path.encode())
    value = getattr(row, name)
    return timestamp(value) if isinstance(value, datetime) else value


def _quotas(db: Session, uses: dict[str, _Use]) -> Iterator[RowFinding]:
    """Settled is what closed legs used, reserved what the open one may still use; the limits are the signed ones."""
    taken: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for use in uses.values():
        one = taken[str(use.agreement)]
        one["uses_settled"] += use.uses
        one["bytes_settled"] += use.served
        if use.row["state"] == "open":
            one["uses_reserved"] += use.row["leg_uses"]
            one["bytes_reserved"] += use.row["leg_end"] - use.row["leg_start"]
    for row in rows(db, UsageQuota):
        if isinstance(row, RowFinding):
            taken.pop(row.key, None)
            yield row
            continue
        agreement = db.get(Agreement, row.agreement_id)
        limits = quota(agreement.uses) if agreement else None
        expected: dict[str, int | None] = {"uses_settled": 0, "bytes_settled": 0, "uses_reserved": 0}
        expected |= {"bytes_reserved": 0} | taken.pop(row.agreement_id, {})
        if limits is not None:
            expected |= _limits(db, row, Limits(limits.max_uses, limits.max_bytes))
        for name, value in expected.items():
            if getattr(row, name) != value:
                yield RowFinding("usage_quota", row.agreement_id, "edited", f"column `{name}` differs")
    for agreement_id in taken:
        yield RowFinding("usage_quota", agreement_id, "deleted", "the quota of an agreement in use is missing")


def _limits(db: Session, row: UsageQuota, signed: Limits) -> dict[str, int | None]:
    """The limits a row may hold.  Of an amendment they were set at its first use, when some of what was taken before
    may still have been reserved: so they may be lower than what is left by now, never higher."""
    left = signed.less(*usage_queries.carried(db, row.agreement_id))
    if left == signed:
        return {"uses_limit": signed.uses, "bytes_limit": signed.bytes}
    held = {"uses_limit": (row.uses_limit, left.uses), "bytes_limit": (row.bytes_limit, left.bytes)}
    return {name: limit if limit is None or got is None else min(got, limit) for name, (got, limit) in held.items()}


def _deliveries(db: Session) -> Iterator[RowFinding]:
    """The rows of delivered files are those of the signed manifest."""
    for delivery in rows(db, Delivery):
        if isinstance(delivery, RowFinding):
            yield delivery
            continue
        body = db.exec(select(Document.body).where(Document.sha256 == delivery.manifest)).first()
        files = db.exec(select(DeliveryFile).where(DeliveryFile.agreement_id == delivery.agreement_id))
        held = [
            (one.path, one.sha256, one.bytes, one.source_path, one.source_sha256)
            for one in sorted(files, key=lambda one: one.position)
        ]
        names = ("path", "sha256", "bytes", "source_path", "source_sha256")
        try:
            listed = [tuple(one[name] for name in names) for one in read_strictly(body or b"")["files"]]
        except (DomainError, KeyError, TypeError):
            listed = []
        if held != listed:
            detail = "the files are not those of the signed manifest"
            yield RowFinding("delivery_file", delivery.agreement_id, "edited", detail)
    known = select(Delivery.agreement_id)
    strays = select(DeliveryFile.agreement_id).where(col(DeliveryFile.agreement_id).not_in(known)).distinct()
    for stray in db.exec(strays).all():
        yield RowFinding("delivery_file", stray, "inserted", "files of no known delivery")


def _stops(db: Session) -> Iterator[RowFinding]:
    """Stops of which a party was never told, although nothing is left that would, or for too long."""
    latest = usage_queries.latest_entry(db)
    told_of = {(one, entry) for one, entry in db.exec(select(StopNotice.agreement_id, StopNotice.stop_entry))}
    for _, facts in told(db, Tag.ROWS_SEALED):
        for stopped in map(Stopped.read, facts.get("stops", ())):
            subjects = [subject for subject, _ in stopped.epochs]
            concerned = negotiation.resting_on(db, subjects, stopped.stopped_at, stopped.change)
            untold = [one for one in concerned if (one, stopped.entry) not in told_of]
            if untold and not _waits(db, stopped, latest):
                for one in untold:
                    detail = f"the parties of {one} were not told of this stop"
                    yield RowFinding("stop_notice", f"{one}/{stopped.entry}", "deleted", detail, stopped.entry)


def _waits(db: Session, stopped: Stopped, latest: datetime | None) -> bool:
    """Whether somebody will still tell, judged by the log's own time: a stopped instance tells nobody."""
    row = outbox.asked(db, epochs.NOTIFY_TASK, stopped.entry)
    if row is None or row.done_at is not None or row.given_up_at is not None:
        return False
    return latest is None or latest < stopped.stopped_at + TOLD_WITHIN
