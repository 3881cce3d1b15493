"""Words that somebody typed: kept as a document that can be read and erased, never in an entry (threat T35)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime

from sqlmodel import Session

from marketplace.audit import documents
from marketplace.kernel.canonical import Json

KIND = "words"
OTHER = "other"

# Reasons that an entry says in clear; every other code stays with the words.
REASONS = frozenset(
    {
        "incomplete_description",
        "ethics_approval_missing",
        "evidence_missing",
        "purpose_not_permitted",
        "price_not_agreed",
        "terms_not_accepted",
        "not_needed_any_more",
        "duplicate",
        "superseded",
        "data_error",
        "quality_insufficient",
        "rights_in_dispute",
        "identity_in_doubt",
        "consent_withdrawn",
        "breach_of_contract",
        "security_incident",
        "payment_overdue",
        "court_order",
        "order_of_authority",
        "law_changed",
        # What the service itself says.
        "asked",
        "completed",
        "returned_for_completion",
        "left_to_people",
        "left_to_buyers_people",
        "accepted_by_rule",
        "countered_by_rule",
        "offered_as_asked",
        "offered_otherwise",
        "offered_by_rule",
        "offered_directly",
        "counter_offered",
        "offer_accepted",
        "provider_signed",
        "signatures_verified",
        "in_force",
        "deadline_passed",
        "expired",
        "log_recovered",
        "invoice_overdue",
        "invoice_paid",
        "use_report_missing",
        "use_reported",
        "assignment_prohibited",
        "predecessor_terminated",
        "corrected",
    }
)


def keep_text(db: Session, text: str, now: datetime, readers: Iterable[str]) -> str:
    """Keep words as a document of their own; returns its SHA-256 for the entry.

    readers: participant ids concerned; auditors read it anyway.  A random salt keeps short words from being guessed
    from the hash.
    """
    content: Json = {"type": KIND, "v": 1, "text": text, "salt": os.urandom(16).hex()}
    return documents.keep(db, KIND, content, now, readers=sorted(set(readers)))


def keep_why(db: Session, code: str, note: str, now: datetime, readers: Iterable[str]) -> Json:
    """The facts of a reason: a code of the closed list or `other`, and the hash of the words when there are any.

    code: as the caller gave it, empty for none; note: free text.
    """
    if code in REASONS and not note:
        return {"reason": code, "words": None}
    if not code and not note:
        return {"reason": "", "words": None}
    said = f"{code}: {note}" if note else code
    return {"reason": code if code in REASONS else OTHER, "words": keep_text(db, said, now, readers)}
