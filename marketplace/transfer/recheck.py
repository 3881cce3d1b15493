"""Re-check uses, quotas and deliveries against the log: what was reserved, served and settled is told by entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session, col, select

from marketplace.audit.entry import Tag
from marketplace.audit.models import Document
from marketplace.audit.recheck import RowFinding, Told, told
from marketplace.collection.recheck import damaged
from marketplace.exchange.terms import quota
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.kernel.errors import DomainError
from marketplace.negotiation.models import Agreement
from marketplace.plumbing.storage import ObjectStore
from marketplace.transfer.models import Delivery, DeliveryFile, Transfer
from marketplace.usage.models import UsageQuota


@dataclass
class _Use:
    """A transfer as its entries tell it.  leg_*: of the present leg; served, uses: of the legs that are closed."""

    agreement: str | None
    entry: str
    row: dict[str, Any] = field(default_factory=dict)
    leg_uses: int = 0
    uses: int = 0
    served: int = 0

    def opened(self, entry: Told, facts: Json) -> None:
        self.entry = entry.id
        self.leg_uses = facts["uses"]
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
        } | ({"stops_at": facts["stops_at"]} if "stops_at" in facts else {})

    def window(self, facts: Json) -> bool:
        """Take a window; False when it does not follow the one before."""
        follows: bool = (facts["leg"], facts["offset"]) == (
            self.row["leg"],
            self.row["leg_start"] + self.row["leg_served"],
        )
        self.row["leg_served"] += facts["length"]
        self.row["running_sha256"] = facts["running_sha256"]
        return follows and self.row["state"] == "open"

    def closed(self, facts: Json) -> None:
        self.row |= {"state": "closed", "outcome": facts["outcome"]}
        self.served += facts["bytes"]
        # As `service.close` counts: a leg that served nothing counts only when nothing was to be served.
        self.uses += self.leg_uses if facts["bytes"] or facts["outcome"] == "complete" else 0


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


def recheck_objects(db: Session, store: ObjectStore) -> Iterator[RowFinding]:
    """Delivered files whose object is missing or damaged; it reads every byte."""
    for name in db.exec(select(DeliveryFile.sha256).distinct().order_by(DeliveryFile.sha256)).all():
        yield from damaged(store, name)


def _take(uses: dict[str, _Use], entry: Told, facts: Json) -> Iterator[RowFinding]:
    name = facts["transfer"]
    if entry.tag == Tag.USE_ALLOWED:
        uses.setdefault(name, _Use(entry.agreement, entry.id)).opened(entry, facts)
    elif name not in uses:
        yield RowFinding("entry", entry.id, "inserted", f"no use named {name} was allowed", entry.id)
    elif entry.tag == Tag.WINDOW_SERVED:
        if not uses[name].window(facts):
            yield RowFinding("entry", entry.id, "inserted", "the window does not follow the one before", entry.id)
    else:
        uses[name].closed(facts)


def _transfers(db: Session, uses: dict[str, _Use]) -> Iterator[RowFinding]:
    missing = dict(uses)
    for row in db.exec(select(Transfer).execution_options(yield_per=500)):
        use = missing.pop(row.id, None)
        if use is None:
            yield RowFinding("transfer", row.id, "inserted", "no entry of the log allowed this use")
            continue
        expected = use.row | {"agreement_id": use.agreement, "served": use.served, "uses": use.uses}
        for name, value in expected.items():
            if getattr(row, name) != value:
                yield RowFinding("transfer", row.id, "edited", f"column `{name}` differs", use.entry)
    for name, use in missing.items():
        yield RowFinding("transfer", name, "deleted", "a use that was allowed is missing", use.entry)


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
    for row in db.exec(select(UsageQuota)).all():
        agreement = db.get(Agreement, row.agreement_id)
        limits = quota(agreement.uses) if agreement else None
        expected: dict[str, int | None] = {"uses_settled": 0, "bytes_settled": 0, "uses_reserved": 0}
        expected |= {"bytes_reserved": 0} | taken.pop(row.agreement_id, {})
        if limits is not None:
            expected |= {"uses_limit": limits.max_uses, "bytes_limit": limits.max_bytes}
        for name, value in expected.items():
            if getattr(row, name) != value:
                yield RowFinding("usage_quota", row.agreement_id, "edited", f"column `{name}` differs")
    for agreement_id in taken:
        yield RowFinding("usage_quota", agreement_id, "deleted", "the quota of an agreement in use is missing")


def _deliveries(db: Session) -> Iterator[RowFinding]:
    """The rows of delivered files are those of the signed manifest."""
    for delivery in db.exec(select(Delivery)).all():
        body = db.exec(select(Document.body).where(Document.sha256 == delivery.manifest)).first()
        rows = db.exec(select(DeliveryFile).where(DeliveryFile.agreement_id == delivery.agreement_id))
        held = [
            (one.path, one.sha256, one.bytes, one.source_path, one.source_sha256)
            for one in sorted(rows, key=lambda one: one.position)
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
