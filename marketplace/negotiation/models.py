"""Tables of negotiation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class AccessRequest(SQLModel, table=True):
    """A buyer asks for access under a listing; states as in the Dataspace Protocol, in `negotiation.rules`.

    reason: a code for the present state, `returned_for_completion` while the buyer is to complete it; note: words.
    expires_at: whoever has to move next moves before, or the negotiation ends.
    """

    __tablename__ = "access_request"
    # With the state, so that what is open is found among all that a buyer ever asked for under a listing; with the
    # moment, so that a page of what either party has is read in its order.
    __table_args__ = (
        Index("ix_access_request_buyer_listing", "buyer_id", "listing_id", "state"),
        Index("ix_access_request_buyer_asked", "buyer_id", "asked_at", "id"),
        Index("ix_access_request_provider_asked", "provider_id", "asked_at", "id"),
    )

    id: str = Field(primary_key=True)
    listing_id: str = Field(foreign_key="listing.id", index=True)
    offer_id: str = Field(foreign_key="offer.id")
    buyer_id: str = Field(foreign_key="participant.id")
    provider_id: str = Field(foreign_key="participant.id")
    state: str = Field(index=True)
    purpose: str
    justification: str
    evidence: list[dict[str, Any]] = Field(sa_type=JsonColumn)
    reason: str = ""
    note: str = ""
    asked_at: datetime = Field(sa_type=UtcDateTime)
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    agreement_id: str | None = None


class Agreement(SQLModel, table=True):
    """The usage contract.

    document: SHA-256 of the canonical document both parties sign; uses: the ODRL agreement inside it.
    state: `drafted` until both signed, `finalized`, `suspended` (by suspended_by), `terminated`, `expired`; a moment
    after ends_at it is still `finalized`, so every reader compares the end too.
    unpaid: an overdue invoice holds it, whoever has suspended it meanwhile: nothing resumes until that is paid.
    starts_at and ends_at bound every use; how many uses and bytes: `exchange.terms.quota(uses)`.
    by_rule: SHA-256 of the provider's rule that offered it, None where a person did.
    """

    __tablename__ = "agreement"
    # With the moment, so that a page of what either party has is read in its order.
    __table_args__ = (
        Index("ix_agreement_buyer_drafted", "buyer_id", "drafted_at", "id"),
        Index("ix_agreement_provider_drafted", "provider_id", "drafted_at", "id"),
    )

    id: str = Field(primary_key=True)
    request_id: str = Field(foreign_key="access_request.id", index=True)
    provider_id: str = Field(foreign_key="participant.id")
    buyer_id: str = Field(foreign_key="participant.id")
    asset_id: str = Field(foreign_key="asset.id", index=True)
    version_id: str = Field(foreign_key="version.id", index=True)
    listing_id: str = Field(foreign_key="listing.id", index=True)
    certificate_code: str = Field(foreign_key="certificate.code", index=True)
    opinion_id: str = Field(foreign_key="opinion.id", index=True)
    document: str
    uses: dict[str, Any] = Field(sa_type=JsonColumn)
    price_plan: dict[str, Any] = Field(sa_type=JsonColumn)
    delivery_mode: str
    state: str = "drafted"
    reason: str = ""
    suspended_by: str = ""
    unpaid: bool = False
    by_rule: str | None = None
    drafted_at: datetime = Field(sa_type=UtcDateTime)
    starts_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime = Field(sa_type=UtcDateTime)
    finalized_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    terminated_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
