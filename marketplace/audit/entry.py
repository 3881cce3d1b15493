"""Writing an entry: typed tag, canonical bytes, a nonce so that a leaf hash cannot be guessed, no personal data."""

from __future__ import annotations

import os
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from marketplace.audit.models import Entry
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, canonical
from marketplace.kernel.clock import timestamp
from marketplace.kernel.ids import new_id


class Tag(StrEnum):
    """What an entry records, `room:event`; retired tags stay."""

    PARTICIPANT_ADMITTED = "participant:admitted"
    PARTICIPANT_SUSPENDED = "participant:suspended"
    PARTICIPANT_REINSTATED = "participant:reinstated"
    KEY_REGISTERED = "participant:key_registered"
    KEY_REVOKED = "participant:key_revoked"
    ASSET_REGISTERED = "asset:registered"
    VERSION_OPENED = "collection:version_opened"
    BATCH_RECEIVED = "collection:batch_received"
    VERSION_SEALED = "collection:version_sealed"
    STAGE_REACHED = "asset:stage_reached"
    VERSION_SUSPENDED = "asset:version_suspended"
    VERSION_RESUMED = "asset:version_resumed"
    VERSION_RETIRED = "asset:version_retired"
    FACE_DECLARED = "governance:face_declared"
    GOVERNANCE_ASKED = "governance:asked"
    GOVERNANCE_STARTED = "governance:started"
    GOVERNANCE_FINISHED = "governance:finished"
    GOVERNANCE_FAILED = "governance:failed"
    OPINION_DRAFTED = "legal:opinion_drafted"
    OPINION_SIGNED = "legal:opinion_signed"
    OPINION_CONDITION_MET = "legal:condition_met"
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
    OFFER_DRAFTED = "exchange:offer_drafted"
    LISTING_SUBMITTED = "exchange:listing_submitted"
    LISTING_REVIEWED = "exchange:listing_reviewed"
    LISTING_RETURNED = "exchange:listing_returned"
    LISTING_APPROVED = "exchange:listing_approved"
    LISTING_PUBLISHED = "exchange:listing_published"
    LISTING_SUSPENDED = "exchange:listing_suspended"
    LISTING_RESUMED = "exchange:listing_resumed"
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
    OFFER_MADE = "negotiation:offer_made"
    AGREEMENT_SIGNED = "negotiation:agreement_signed"
    AGREEMENT_VERIFIED = "negotiation:agreement_verified"
    AGREEMENT_FINALIZED = "negotiation:agreement_finalized"
    AGREEMENT_TERMINATED = "negotiation:agreement_terminated"
    DELIVERY_PREPARED = "transfer:delivery_prepared"
    USE_ALLOWED = "usage:allowed"
    USE_REFUSED = "usage:refused"
    WINDOW_SERVED = "transfer:window_served"
    TRANSFER_CLOSED = "transfer:closed"
    COST_METERED = "costing:metered"
    LEDGER_POSTED = "ledger:posted"
    LOG_EXPORTED = "audit:exported"
    REQUEST_REFUSED = "edge:refused"


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

    facts: plain values without floats and without personal data; organisations appear by id.
    If the entry cannot be written the transaction fails, and with it the change.
    """
    entry_id = new_id("ent")
    body: Json = {
        "v": 1,
        "id": entry_id,
        "tag": tag.value,
        "at": timestamp(now),
        "actor": {"participant": actor.participant, "kid": actor.kid},
        "subject": {"asset": asset, "version": version, "agreement": agreement},
        "facts": facts or {},
        "nonce": os.urandom(16).hex(),
    }
    db.add(
        Entry(
            id=entry_id,
            tag=tag.value,
            actor=actor.participant,
            at=now,
            asset=asset,
            version=version,
            agreement=agreement,
            body=canonical(body),
        )
    )
    return entry_id
