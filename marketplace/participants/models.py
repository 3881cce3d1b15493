"""Tables of participants and their keys; no private key is ever here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from marketplace.plumbing.db import JsonColumn, UtcDateTime


class Participant(SQLModel, table=True):
    """An organisation with verified identity (Data Security Law art. 33).

    credit_code: unified social credit code, 18 characters (GB 32100); verified_by: who checked it and how.
    foreign_controlled: basis of gates H5 and H7; hospital_level: `tertiary`, `secondary` or `primary`, as verified.
    """

    __tablename__ = "participant"

    id: str = Field(primary_key=True)
    legal_name: str
    legal_name_en: str
    credit_code: str = Field(unique=True)
    kind: str
    roles: list[str] = Field(sa_type=JsonColumn)
    jurisdiction: str = "CN"
    foreign_controlled: bool = False
    licence_number: str | None = None
    hospital_level: str | None = None
    verified_by: str
    verification_method: str
    verified_at: datetime = Field(sa_type=UtcDateTime)
    admitted_at: datetime = Field(sa_type=UtcDateTime)
    suspended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    is_example: bool = False


class ParticipantKey(SQLModel, table=True):
    """A public key of a participant.  kid: RFC 7638 thumbprint; jwk: public members with kid and alg."""

    __tablename__ = "participant_key"

    kid: str = Field(primary_key=True)
    participant_id: str = Field(foreign_key="participant.id", index=True)
    jwk: dict[str, Any] = Field(sa_type=JsonColumn)
    alg: str
    valid_from: datetime = Field(sa_type=UtcDateTime)
    valid_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Connector(SQLModel, table=True):
    """A technical component that speaks the Dataspace Protocol for one participant from elsewhere.

    identifier: the participant's name on the wire; jwk: the component's own public key, with kid and alg.
    addresses: the origins that may be called for it, each exactly `scheme://host:port`.
    certified_until: the end of its certification; from then on it is refused.
    signs: whether its messages carry the signatures of contracts; else its participant signs over our API.
    """

    __tablename__ = "connector"

    id: str = Field(primary_key=True)
    participant_id: str = Field(foreign_key="participant.id", index=True)
    identifier: str = Field(unique=True)
    software: str
    software_version: str
    jwk: dict[str, Any] = Field(sa_type=JsonColumn)
    addresses: list[str] = Field(sa_type=JsonColumn)
    certified_by: str
    certificate_number: str
    certified_until: datetime = Field(sa_type=UtcDateTime)
    signs: bool = True
    registered_at: datetime = Field(sa_type=UtcDateTime)
    suspended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SeenToken(SQLModel, table=True):
    """A one-time `jti` of an assertion or DPoP proof, kept until it could not be replayed anyway."""

    __tablename__ = "seen_token"

    id: str = Field(primary_key=True)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
