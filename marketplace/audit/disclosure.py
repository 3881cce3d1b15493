"""The account of disclosures: who got what of an asset, when and for which purpose, each row with its proof.

Fields after 45 CFR 164.528(b)(2): date, recipient, brief description, purpose; EHDS regulation art. 73 asks for less.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col

from marketplace.audit import cells, queries
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import Checkpoint, Entry
from marketplace.audit.queries import Identity, Use
from marketplace.audit.service import prove_leaves
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Forbidden, Invalid

LIMIT = 200_000
CHUNK = 500
COLUMNS = (
    "date",
    "recipient",
    "recipient_name",
    "recipient_code",
    "person",
    "description",
    "purpose",
    "asset",
    "version",
    "files",
    "bytes",
    "transformations",
    "agreement",
    "outcome",
    "entry",
    "index",
)


class NotYourDisclosures(Forbidden):
    """The caller may not ask for these disclosures."""


class TooManyDisclosures(Invalid):
    """The report would hold too many rows."""


@dataclass(frozen=True)
class Asked:
    """Which disclosures; all given conditions must hold.  participant: the recipient; time_to is exclusive.

    proofs: add to each row the text of its entry and the inclusion proof.
    """

    asset: str | None = None
    participant: str | None = None
    time_from: datetime | None = None
    time_to: datetime | None = None
    proofs: bool = True


def report(db: Session, actor: Actor, asked: Asked, now: datetime) -> Json:
    """Every allowed use in the cosigned tree that the conditions name, oldest first, with what was served of it.

    Providers ask about their own assets, recipients about themselves, auditors about anything.
    waiting: further uses that no cosigned tree holds yet.
    Raises NotYourDisclosures, TooManyDisclosures, NoSuchCheckpoint.  Records: audit:disclosed.
    """
    _require_readable(db, actor, asked)
    checkpoint = queries.published_checkpoint(db)
    where = queries.conditions(
        queries.Qualifiers(actor=asked.participant, asset=asked.asset, time_from=asked.time_from, time_to=asked.time_to)
    )
    uses = queries.uses(db, where, [Tag.USE_ALLOWED], checkpoint.size, LIMIT + 1)
    if len(uses) > LIMIT:
        raise TooManyDisclosures(
            "too many uses for one report", expected=f"at most {LIMIT}", action="ask for less time"
        )
    waiting = queries.count_waiting(db, [*where, Entry.tag == Tag.USE_ALLOWED], checkpoint.size)

    rows = _rows(db, uses)
    if asked.proofs:
        _add_proofs(db, checkpoint, uses, rows)

    scope = _logged_scope(db, asked)
    facts = {"scope": scope, "rows": len(rows), "tree_size": checkpoint.size}
    record(db, actor, Tag.DISCLOSURES_REPORTED, now, asset=queries.subject(scope["asset"]), facts=facts)
    return {
        "report": "disclosures-v1",
        "asset": asked.asset,
        "participant": asked.participant,
        "from": asked.time_from,
        "to": asked.time_to,
        "made_at": now,
        "checkpoint": checkpoint.note,
        "items": rows,
        "waiting": waiting,
    }


def as_csv(items: Iterable[Json]) -> str:
    """The rows of a report as CSV, in the order of COLUMNS."""
    return cells.table(COLUMNS, ([_flat(item.get(name)) for name in COLUMNS] for item in items))


def _require_readable(db: Session, actor: Actor, asked: Asked) -> None:
    if actor.has(Role.AUDITOR) or asked.participant == actor.participant:
        return
    if asked.asset is not None and queries.owner(db, asked.asset) == actor.participant:
        return
    raise NotYourDisclosures(
        "a provider asks about its own asset, a recipient about itself, an auditor about anything",
        expected=f"an asset of {actor.participant}, or the participant {actor.participant}",
        action="name your own asset or yourself",
    )


def _rows(db: Session, uses: Sequence[Use]) -> list[Json]:
    agreements = sorted({one.agreement for one in uses if one.agreement is not None})
    closed, deliveries = _by_agreement(db, agreements)
    identities = queries.identities(db)
    return [_row(one, closed, deliveries, identities.get(one.actor, Identity())) for one in uses]


def _by_agreement(db: Session, agreements: Sequence[str]) -> tuple[dict[tuple[str, int], Json], dict[str, Json]]:
    """What ended each leg of a transfer, and what each delivery manifest holds."""
    closed: dict[tuple[str, int], Json] = {}
    deliveries: dict[str, Json] = {}
    for start in range(0, len(agreements), CHUNK):
        where = [col(Entry.agreement).in_(agreements[start : start + CHUNK])]
        for one in queries.uses(db, where, [Tag.TRANSFER_CLOSED], None, 10 * LIMIT):
            closed[one.facts["transfer"], one.facts["leg"]] = one.facts
        for one in queries.uses(db, where, [Tag.DELIVERY_PREPARED], None, LIMIT):
            deliveries[one.facts["manifest"]] = one.facts
    return closed, deliveries


def _row(use: Use, closed: dict[tuple[str, int], Json], deliveries: dict[str, Json], who: Identity) -> Json:
    facts = use.facts
    end = closed.get((facts.get("transfer", ""), facts.get("leg", 0)), {})
    delivery = deliveries.get(facts.get("manifest") or "", {})
    # The tar holds every file of the delivery; any other hash is that of one file.
    files = delivery.get("files", 1) if facts.get("sha256") == delivery.get("tar") else 1
    served = end.get("bytes")
    return {
        "date": use.at,
        "recipient": use.actor,
        "recipient_name": who.legal_name,
        "recipient_code": who.credit_code,
        "person": use.person,
        "description": _description(use, files, served),
        "purpose": facts["purpose"],
        "asset": use.asset,
        "version": use.version,
        "files": files,
        "bytes": served,
        "transformations": delivery.get("transformations", []),
        "agreement": use.agreement,
        "outcome": end.get("outcome", "running"),
        "entry": use.id,
        "index": use.leaf_index,
    }


def _description(use: Use, files: int, served: int | None) -> str:
    amount = "still running" if served is None else f"{served} bytes"
    return f"{files} file{'' if files == 1 else 's'} of version {use.version} of asset {use.asset}, {amount}"


def _add_proofs(db: Session, checkpoint: Checkpoint, uses: Sequence[Use], rows: Sequence[Json]) -> None:
    indexes = [one.leaf_index for one in uses if one.leaf_index is not None]
    for proof, use, row in zip(prove_leaves(db, checkpoint, indexes), uses, rows, strict=True):
        row["evidence"] = {
            "index": proof.index,
            "body": use.body.decode(),
            "proof": [step.hex() for step in proof.path],
        }


def _logged_scope(db: Session, asked: Asked) -> Json:
    return {
        "asset": queries.named(db, Entry.asset, asked.asset),
        "participant": queries.named(db, Entry.actor, asked.participant),
        "from": timestamp(asked.time_from) if asked.time_from else None,
        "to": timestamp(asked.time_to) if asked.time_to else None,
    }


def _flat(value: Any) -> object:
    match value:
        case datetime():
            return timestamp(value)
        case list():
            return "; ".join(str(one) for one in value)
        case _:
            return value
