"""Seals: whichever row of these tables a transaction changes, the digest of the whole row enters the log with it.

Who edits such a row behind the service's back leaves a row that no longer has its last seal; `recheck` names it.
Tables whose rows are many or small are not sealed but compared with what their own entries say: the books, uses,
quotas, files, metered events, persons, counters of codes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, event, inspect
from sqlalchemy.orm import Session as AnySession
from sqlalchemy.orm import SessionTransaction, UOWTransaction
from sqlmodel import Session, SQLModel, col, select

from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json
from marketplace.plumbing import outbox
from marketplace.plumbing.db import rows_of
from marketplace.plumbing.epochs import NOTIFY_TASK, Epoch

SEALED = frozenset(
    {
        "acceptance_rule",
        "access_request",
        "agreement",
        "agreement_act",
        "agreement_assignment",
        "agreement_successor",
        "answer_rule",
        "application",
        "asset",
        "asset_right",
        "asset_secret",
        "bank_account",
        "bank_entry",
        "capitalisation",
        "certificate",
        "collected_batch",
        "collection",
        "connector",
        "consent_withdrawal",
        "dataspace_agreement",
        "dataspace_arrival",
        "dataspace_exchange",
        "deletion_certificate",
        "delivery",
        "demand",
        "document",
        "document_signature",
        "duty",
        "epoch",
        "evidence",
        "exclusivity",
        "face_declaration",
        "governance_job",
        "invoice",
        "invoice_line",
        "invoice_series",
        "ledger_period",
        "listing",
        "log_statement",
        "negotiation_reminder",
        "notice_address",
        "objection",
        "offer",
        "offer_buyer",
        "opinion",
        "opinion_condition",
        "outcome",
        "participant",
        "participant_key",
        "payable",
        "payment_order",
        "policy_release",
        "proposal",
        "proposal_review",
        "refund",
        "registrar_seat",
        "scheme_choice",
        "share",
        "stage_record",
        "stop_notice",
        "stop_notice_reader",
        "successor_review",
        "use_report",
        "version",
    }
)
WORDED_BY_CALLERS = frozenset({"collected_batch"})
ADDED: dict[str, dict[str, Any]] = {
    "share": {"reference": None, "paid_at": None, "returned_as": None},
    "agreement": {"by_rule": None},
    "payable": {"part": 0},
    "payment_order": {"cancelled_at": None, "cancellation": None},
}
"""Columns that a migration added to rows that were sealed before it, with what it gave them: with that they are left
out of the seal."""
_KEY_BEFORE = {"payable": "/0"}
"""What a key that grew ends in where its row was sealed by the shorter one."""
ROWS_IN_ONE_ENTRY = 256
_TOUCHED = "rows_to_seal"
_INSERTED = "inserted_seals"
_EPOCHS = select(*Epoch.__table__.columns).where(  # type: ignore[attr-defined]
    col(Epoch.subject).in_(bindparam("subjects", expanding=True))
)
# Made once: `json.dumps` would make an encoder for every row.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def seal(row: SQLModel) -> str:
    """SHA-256 over all columns of a row, the same for a row in memory and the row read back; hex.

    A column of `ADDED` counts once it has another value.
    """
    return _digest(str(row.__tablename__), {name: getattr(row, name) for name in type(row).model_fields})


def _digest(table: str, columns: Mapping[str, Any]) -> str:
    added = ADDED.get(table, {})
    counted = {name: value for name, value in columns.items() if name not in added or value != added[name]}
    text = _encode({name: _plain(value) for name, value in counted.items()})
    return hashlib.sha256(text.encode()).hexdigest()


def name_of(row: SQLModel) -> tuple[str, str]:
    """(table, primary key as text)."""
    return name_of_key(str(type(row).__tablename__), inspect(row).mapper.primary_key_from_instance(row))


def name_of_key(table: str, parts: Iterable[Any]) -> tuple[str, str]:
    """(table, primary key as text); a key that callers word themselves enters by its hash (threat T35)."""
    text = "/".join(str(part) for part in parts).removesuffix(_KEY_BEFORE.get(table, ""))
    return table, hashlib.sha256(text.encode()).hexdigest() if table in WORDED_BY_CALLERS else text


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case bytes():
            return hashlib.sha256(value).hexdigest()
        case _:
            return value


def _note(db: AnySession, _flush: UOWTransaction) -> None:
    touched = [row for row in (*db.new, *db.dirty, *db.deleted) if row.__tablename__ in SEALED]
    if touched:
        db.info.setdefault(_TOUCHED, {}).update({id(row): row for row in touched})


def note_inserted(db: Session, model: type[SQLModel], rows: Iterable[Mapping[str, Any]]) -> None:
    """Have rows sealed that were inserted past the unit of work (`plumbing.bulk`), each with all of its columns.

    Only outside of savepoints: what a savepoint takes back would be missed as a sealed row.
    """
    if db.in_nested_transaction():
        raise RuntimeError("rows are inserted past the unit of work inside a savepoint")
    keys = [one.name for one in inspect(model).primary_key]
    table = str(model.__tablename__)
    for row in rows:
        name = name_of_key(table, (row[key] for key in keys))
        db.info.setdefault(_INSERTED, []).append((*name, _digest(table, row)))


def write_seals(db: AnySession) -> None:
    """Write one entry with the seals of every row that this transaction has changed since the last such entry.

    Happens before every commit by itself.  Keeps whom a stop concerns, so that a notice that is never written is missed
    (`transfer.recheck`).  Records: audit:rows_sealed.
    """
    if db.in_nested_transaction() or not isinstance(db, Session):
        return
    db.flush()
    if not db.info.keys() & {_TOUCHED, _INSERTED, "epochs_touched"}:
        return
    from marketplace.audit.entry import Tag, record

    moment = db.info.get("recorded_at")
    facts = sorted(_seals(db), key=lambda one: (one["table"], one["key"]))
    asked = db.info.pop("stops_to_tell", {})
    stops = [told for entry, told in asked.items() if outbox.asked(db, NOTIFY_TASK, entry) is not None]
    if moment is not None:
        for start in range(0, len(facts), ROWS_IN_ONE_ENTRY):
            told: Json = {"rows": facts[start : start + ROWS_IN_ONE_ENTRY]}
            told |= {"stops": stops} if stops and start == 0 else {}
            record(db, SERVICE_ACTOR, Tag.ROWS_SEALED, moment, facts=told)


def _seals(db: Session) -> Iterator[Json]:
    for table, key, digest in db.info.pop(_INSERTED, ()):
        yield {"table": table, "key": key, "sha256": digest}
    for row in db.info.pop(_TOUCHED, {}).values():
        state = inspect(row)
        if state.persistent:
            table, key = name_of(row)
            yield {"table": table, "key": key, "sha256": seal(row)}
        elif state.deleted:
            table, key = name_of_key(str(row.__tablename__), state.identity)
            yield {"table": table, "key": key, "sha256": None}
    if touched := db.info.pop("epochs_touched", ()):
        for row in rows_of(db, _EPOCHS, subjects=sorted(touched)):
            yield {"table": "epoch", "key": row.subject, "sha256": _digest("epoch", row._mapping)}


def _forget(db: AnySession, ended: SessionTransaction) -> None:
    if ended.nested:
        return  # what the savepoint changed is as before and is sealed as it is
    db.info.pop(_TOUCHED, None)
    db.info.pop(_INSERTED, None)
    db.info.pop("stops_to_tell", None)
    db.info.pop("epochs_touched", None)


event.listen(AnySession, "after_flush", _note)
event.listen(AnySession, "before_commit", write_seals)
event.listen(AnySession, "after_soft_rollback", _forget)
