"""Writing an entry: typed tag, canonical bytes, a nonce so that a leaf hash cannot be guessed, no personal data."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, event, insert
from sqlalchemy.orm import Session as AnySession
from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session

from marketplace.audit import seals  # noqa: F401 - whoever can record an entry seals the rows it changes
from marketplace.audit.commitments import commitment
from marketplace.audit.models import Entry
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, canonical_text
from marketplace.kernel.clock import timestamp
from marketplace.kernel.ids import new_id
from marketplace.plumbing.sqlite import kept_form, run_bare


class Tag(StrEnum):
    """What an entry records, `room:event`; retired tags stay."""

    PARTICIPANT_ADMITTED = "participant:admitted"
    PARTICIPANT_SUSPENDED = "participant:suspended"
    PARTICIPANT_REINSTATED = "participant:reinstated"
    KEY_REGISTERED = "participant:key_registered"
    KEY_REVOKED = "participant:key_revoked"
    PERSON_NAMED = "participant:person_named"
    PERSON_DISCLOSED = "participant:person_disclosed"
    PERSON_ERASED = "participant:person_erased"
    SIGNATURE_ACCEPTED = "participant:signature_accepted"
    CONNECTOR_REGISTERED = "participant:connector_registered"
    CONNECTOR_SUSPENDED = "participant:connector_suspended"
    CONNECTOR_REINSTATED = "participant:connector_reinstated"
    ASSET_REGISTERED = "asset:registered"
    VERSION_OPENED = "collection:version_opened"
    BATCH_RECEIVED = "collection:batch_received"
    CONSENT_WITHDRAWN = "collection:consent_withdrawn"
    VERSION_SEALED = "collection:version_sealed"
    STAGE_REACHED = "asset:stage_reached"
    VERSION_SUSPENDED = "asset:version_suspended"
    VERSION_RESUMED = "asset:version_resumed"
    VERSION_RETIRED = "asset:version_retired"
    FACE_DECLARED = "governance:face_declared"
    GOVERNANCE_ASKED = "governance:asked"
    GOVERNANCE_STARTED = "governance:started"
    GOVERNANCE_JUDGED = "governance:judged"
    GOVERNANCE_FINISHED = "governance:finished"
    GOVERNANCE_FAILED = "governance:failed"
    OPINION_DRAFTED = "legal:opinion_drafted"
    OPINION_SIGNED = "legal:opinion_signed"
    OPINION_CONDITION_MET = "legal:condition_met"
    OPINION_LAPSED = "legal:opinion_lapsed"
    EVIDENCE_ADDED = "legal:evidence_added"
    APPLICATION_FILED = "registration:application_filed"
    APPLICATION_ACCEPTED = "registration:application_accepted"
    APPLICATION_RETURNED = "registration:application_returned"
    APPLICATION_REFUSED = "registration:application_refused"
    NOTICE_OPENED = "registration:notice_opened"
    OBJECTION_RAISED = "registration:objection_raised"
    OBJECTION_SETTLED = "registration:objection_settled"
    NOTICE_CLOSED = "registration:notice_closed"
    CERTIFICATE_PREPARED = "registration:certificate_prepared"
    CERTIFICATE_ISSUED = "registration:certificate_issued"
    CERTIFICATE_SUSPENDED = "registration:certificate_suspended"
    CERTIFICATE_RESUMED = "registration:certificate_resumed"
    CERTIFICATE_CANCELLED = "registration:certificate_cancelled"
    CERTIFICATE_LAPSED = "registration:certificate_lapsed"
    OFFER_DRAFTED = "exchange:offer_drafted"
    LISTING_SUBMITTED = "exchange:listing_submitted"
    LISTING_REVIEWED = "exchange:listing_reviewed"
    LISTING_RETURNED = "exchange:listing_returned"
    LISTING_APPROVED = "exchange:listing_approved"
    LISTING_PUBLISHED = "exchange:listing_published"
    LISTING_SUSPENDED = "exchange:listing_suspended"
    LISTING_RESUMED = "exchange:listing_resumed"
    LISTING_FORCED_OFF = "exchange:listing_forced_off"
    LISTING_REINSTATED = "exchange:listing_reinstated"
    LISTING_WITHDRAWN = "exchange:listing_withdrawn"
    LISTING_ARCHIVED = "exchange:listing_archived"
    DEMAND_PUBLISHED = "exchange:demand_published"
    ACCESS_REQUESTED = "negotiation:access_requested"
    ACCESS_REFUSED = "negotiation:access_refused"
    REQUEST_RETURNED = "negotiation:request_returned"
    REQUEST_RESUBMITTED = "negotiation:request_resubmitted"
    REQUEST_DECLINED = "negotiation:request_declined"
    REQUEST_WITHDRAWN = "negotiation:request_withdrawn"
    REQUEST_EXPIRED = "negotiation:request_expired"
    REQUEST_REMINDED = "negotiation:request_reminded"
    ANSWER_RULE_SET = "negotiation:answer_rule_set"
    ACCEPTANCE_RULE_SET = "negotiation:acceptance_rule_set"
    ANSWER_LEFT = "negotiation:answer_left_to_people"
    TERMS_REVIEWED = "negotiation:terms_reviewed"
    OFFER_MADE = "negotiation:offer_made"
    OFFER_COUNTERED = "negotiation:offer_countered"
    OFFER_ACCEPTED = "negotiation:offer_accepted"
    AGREEMENT_DRAFTED = "negotiation:agreement_drafted"
    AGREEMENT_SIGNED = "negotiation:agreement_signed"
    AGREEMENT_VERIFIED = "negotiation:agreement_verified"
    AGREEMENT_FINALIZED = "negotiation:agreement_finalized"
    AGREEMENT_SUSPENDED = "negotiation:agreement_suspended"
    AGREEMENT_RESUMED = "negotiation:agreement_resumed"
    AGREEMENT_TERMINATED = "negotiation:agreement_terminated"
    AGREEMENT_EXPIRED = "negotiation:agreement_expired"
    AGREEMENT_SUPERSEDED = "negotiation:agreement_superseded"
    ACT_PREPARED = "negotiation:act_prepared"
    ACT_SIGNED = "negotiation:act_signed"
    ACT_OVERTAKEN = "negotiation:act_overtaken"
    ACT_CHASED = "negotiation:act_chased"
    SUCCESSOR_PROPOSED = "negotiation:successor_proposed"
    SUCCESSOR_REVIEWED = "negotiation:successor_reviewed"
    SUCCESSOR_RETURNED = "negotiation:successor_returned"
    SUCCESSOR_CORRECTED = "negotiation:successor_corrected"
    SUCCESSOR_REMINDED = "negotiation:successor_reminded"
    SUCCESSOR_REFUSED = "negotiation:successor_refused"
    SUCCESSOR_WITHDRAWN = "negotiation:successor_withdrawn"
    SUCCESSOR_LAPSED = "negotiation:successor_lapsed"
    ASSIGNMENT_ASKED = "negotiation:assignment_asked"
    ASSIGNMENT_REFUSED = "negotiation:assignment_refused"
    USE_REPORTED = "negotiation:use_reported"
    DELETION_CERTIFIED = "negotiation:deletion_certified"
    DUTY_REMINDED = "negotiation:duty_reminded"
    DUTY_DEMANDED = "negotiation:duty_demanded"
    DUTY_OVERDUE = "negotiation:duty_overdue"
    DUTY_ENDED = "negotiation:duty_ended"
    DELIVERY_PREPARED = "transfer:delivery_prepared"
    USE_ALLOWED = "usage:allowed"
    USE_REFUSED = "usage:refused"
    USE_DECIDED = "usage:decided"
    POLICY_ACCEPTED = "usage:policy_accepted"
    POLICY_REFUSED = "usage:policy_refused"
    WINDOW_SERVED = "transfer:window_served"
    TRANSFER_CLOSED = "transfer:closed"
    STOP_NOTIFIED = "transfer:stop_notified"
    NEGOTIATION_NOTIFIED = "transfer:negotiation_notified"
    DUTY_NOTIFIED = "transfer:duty_notified"
    CONTRACT_NOTIFIED = "transfer:contract_notified"
    PAYMENT_NOTIFIED = "transfer:payment_notified"
    NOTICE_ADDRESS_SET = "transfer:notice_address_set"
    NOTICE_ADDRESS_REMOVED = "transfer:notice_address_removed"
    NOTICE_ACKNOWLEDGED = "transfer:notice_acknowledged"
    CATALOGUE_ASKED = "dataspace:catalogue_asked"
    EXCHANGE_OPENED = "dataspace:exchange_opened"
    EXCHANGE_MOVED = "dataspace:exchange_moved"
    EXCHANGE_STOPPED = "dataspace:exchange_stopped"
    EXCHANGE_FAILED = "dataspace:exchange_failed"
    AGREEMENT_HELD = "dataspace:agreement_held"
    HELD_AGREEMENT_ENDED = "dataspace:agreement_ended"
    DATA_ARRIVED = "dataspace:data_arrived"
    USE_PRICED = "charging:use_priced"
    INVOICE_ISSUED = "settlement:invoice_issued"
    INVOICE_OVERDUE = "settlement:invoice_overdue"
    INVOICE_PAID = "settlement:invoice_paid"
    INVOICE_PART_PAID = "settlement:invoice_part_paid"
    INVOICE_CREDITED = "settlement:invoice_credited"
    SHARES_SETTLED = "settlement:shares_settled"
    SHARES_PAID = "settlement:shares_paid"
    SHARES_OWED = "settlement:shares_owed"
    SCHEME_CHOSEN = "settlement:scheme_chosen"
    BANK_ACCOUNT_SET = "settlement:bank_account_set"
    BANK_ENTRY_TAKEN = "settlement:bank_entry_taken"
    PAYMENTS_ORDERED = "settlement:payments_ordered"
    PAYMENTS_CANCELLED = "settlement:payments_cancelled"
    PAYMENTS_RESOLVED = "settlement:payments_resolved"
    REFUND_OWED = "settlement:refund_owed"
    REFUND_PAID = "settlement:refund_paid"
    PAYABLE_OWED = "settlement:payable_owed"
    PAYABLE_PAID = "settlement:payable_paid"
    OUTCOME_DECLARED = "settlement:outcome_declared"
    OUTCOME_DISPUTED = "settlement:outcome_disputed"
    OUTCOME_SETTLED = "settlement:outcome_settled"
    COST_METERED = "costing:metered"
    LEDGER_POSTED = "ledger:posted"
    PERIOD_CLOSED = "ledger:period_closed"
    PERIOD_REOPENED = "ledger:period_reopened"
    ASSET_CAPITALISED = "accounting:capitalised"
    ASSET_IMPAIRED = "accounting:impaired"
    LOG_EXPORTED = "audit:exported"
    LOG_RECOVERED = "audit:recovered"
    KEY_ROTATED = "audit:key_rotated"
    ROWS_SEALED = "audit:rows_sealed"
    DISCLOSURES_REPORTED = "audit:disclosed"
    REQUEST_REFUSED = "edge:refused"
    REFUSALS_COUNTED = "edge:refusals_counted"


_Row: TypeAlias = tuple[str, str, str, datetime, str | None, str | None, str | None, bytes]
_COLUMNS = ("id", "tag", "actor", "at", "asset", "version", "agreement", "body")
_SQLITE = f"INSERT INTO entry ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608


LARGEST = 0xFFFF
"""Bytes of an entry: bundles give its length in two (C2SP tlog-tiles)."""


class EntryTooLarge(RuntimeError):
    """What happened must be told in several entries, or by a document: a fault of ours, never of the caller."""


class Told(NamedTuple):
    """What one of several entries tells: what it is about, and its facts."""

    asset: str | None
    version: str | None
    agreement: str | None
    facts: Json


def record_all(db: Session, actor: Actor, tag: Tag, now: datetime, told: Sequence[Told]) -> list[str]:
    """Add an entry for each, as `record` does, with one statement; returns their ids in the same order.

    Raises EntryTooLarge.
    """
    at, by = timestamp(now), (actor.participant, actor.kid, _person(db, actor, now))
    rows = list[_Row]()
    for one in told:
        entry_id, subject = new_id("ent"), (one.asset, one.version, one.agreement)
        body = _body(entry_id, tag, at, by, subject, one.facts)
        _require_small(tag, body)
        rows.append((entry_id, tag.value, actor.participant, now, *subject, body))
    if rows:
        _insert_all(db.connection(), rows)
        db.info["recorded_at"] = now
        hashes = ((row[0], hashlib.sha256(b"\x00" + row[-1]).hexdigest()) for row in rows)
        db.info.setdefault("entries", []).extend(hashes)
    return [row[0] for row in rows]


def record(
    db: Session,
    actor: Actor,
    tag: Tag,
    now: datetime,
    *,
    asset: str | None = None,
    version: str | None = None,
    agreement: str | None = None,
    facts: Json | None = None,
) -> str:
    """Add an entry to the present transaction and return its id.

    `db.info["entries"]` lists (entry id, leaf hash in hex) of every entry of this session that was not rolled back,
    in order; the hash is SHA-256(0x00 || body) as in RFC 9162 section 2.1.1.
    facts: plain values without floats, free text and personal data; organisations appear by id, the acting person by
    a salted commitment.
    If the entry cannot be written the transaction fails, and with it the change.  Raises EntryTooLarge.
    """
    entry_id, at = new_id("ent"), timestamp(now)
    subject = asset, version, agreement
    body = _body(entry_id, tag, at, (actor.participant, actor.kid, _person(db, actor, now)), subject, facts or {})
    _require_small(tag, body)
    _insert(db.connection(), (entry_id, tag.value, actor.participant, now, *subject, body))
    db.info["recorded_at"] = now
    db.info.setdefault("entries", []).append((entry_id, hashlib.sha256(b"\x00" + body).hexdigest()))
    return entry_id


def _require_small(tag: Tag, body: bytes) -> None:
    if len(body) > LARGEST:
        raise EntryTooLarge(f"an entry {tag.value} of {len(body)} bytes; bundles hold {LARGEST}")


def _body(
    entry_id: str,
    tag: Tag,
    at: str,
    actor: tuple[str, str | None, str | None],
    subject: tuple[str | None, str | None, str | None],
    facts: Json,
) -> bytes:
    """The canonical bytes (RFC 8785); the outer shape is fixed, so only the parts are canonicalised."""
    participant, kid, person = (_part(one) for one in actor)
    asset, version, agreement = (_part(one) for one in subject)
    return (
        f'{{"actor":{{"kid":{kid},"participant":{participant},"person":{person}}},"at":"{at}",'
        f'"facts":{canonical_text(facts, depth=1)},"id":"{entry_id}","nonce":"{os.urandom(16).hex()}",'
        f'"subject":{{"agreement":{agreement},"asset":{asset},"version":{version}}},"tag":"{tag.value}","v":1}}'
    ).encode()


@lru_cache(maxsize=4096)
def _part(text: str | None) -> str:
    return canonical_text(text)


def _insert(connection: Connection, row: _Row) -> None:
    """Write the row past the unit of work: it is there for every later statement, at a fifth of the cost."""
    if connection.dialect.name == "sqlite":
        run_bare(connection, _SQLITE, (*row[:3], kept_form(row[3]), *row[4:]))
    else:
        connection.execute(insert(Entry), dict(zip(_COLUMNS, row, strict=True)))


def _insert_all(connection: Connection, rows: Sequence[_Row]) -> None:
    if connection.dialect.name == "sqlite":
        held = [(*row[:3], kept_form(row[3]), *row[4:]) for row in rows]
        connection.exec_driver_sql(_SQLITE, held)
    else:
        connection.execute(insert(Entry), [dict(zip(_COLUMNS, row, strict=True)) for row in rows])


def _person(db: Session, actor: Actor, now: datetime) -> str | None:
    return None if actor.person is None else commitment(db, actor.participant, actor.person, now)


def since_begin(db: AnySession, name: str) -> list[Any]:
    """What a list of `db.info` (see TRACKED) gained in the present transaction."""
    before = db.info.get("lengths_before", {}).get(db.get_transaction(), {}).get(name, 0)
    return list(db.info.get(name, ())[before:])


TRACKED = ("entries", "changed_tables")
"""Lists in `db.info` that lose what a transaction or a savepoint added when it is rolled back."""


def _remember_lengths(db: AnySession, transaction: SessionTransaction) -> None:
    if transaction.parent is None or transaction.nested:
        lengths = {name: len(db.info.get(name, ())) for name in TRACKED}
        db.info.setdefault("lengths_before", {})[transaction] = lengths


def _keep(db: AnySession) -> None:
    db.info.get("lengths_before", {}).pop(db.get_nested_transaction() or db.get_transaction(), None)


def _drop(db: AnySession, transaction: SessionTransaction) -> None:
    # Only a transaction or savepoint that was not committed still has its lengths: what it added does not exist.
    before = db.info.get("lengths_before", {}).pop(transaction, {})
    for name, length in before.items():
        del db.info.get(name, [])[length:]


event.listen(AnySession, "after_transaction_create", _remember_lengths)
event.listen(AnySession, "after_commit", _keep)
event.listen(AnySession, "after_transaction_end", _drop)
