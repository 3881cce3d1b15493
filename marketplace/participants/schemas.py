"""What crosses HTTP about participants, keys and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from marketplace.kernel.actor import Role
from marketplace.plumbing.moments import Moment

Name = Annotated[str, StringConstraints(min_length=2, max_length=120)]
HospitalLevel = Literal["tertiary", "secondary", "primary"]
ParticipantKind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{1,39}$")]


class ParticipantIn(BaseModel):
    """An organisation whose identity has been verified, as the platform operator admits it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    legal_name: Name = Field(examples=["示例市第一人民医院"])
    legal_name_en: Name = Field(examples=["Example City First People's Hospital"])
    credit_code: str = Field(
        max_length=40, description="Unified social credit code (GB 32100).", examples=["91999999000000002Q"]
    )
    kind: ParticipantKind = Field(examples=["hospital"])
    roles: list[Role] = Field(min_length=1, max_length=7)
    jurisdiction: str = Field(default="CN", pattern=r"^[A-Z]{2}$")
    foreign_controlled: bool = False
    licence_number: str | None = Field(default=None, max_length=80)
    hospital_level: HospitalLevel | None = Field(
        default=None, description="Of a hospital, as its licence says; tariffs may depend on it."
    )
    verified_by: Name = Field(description="The organisation that checked the identity.")
    verification_method: str = Field(min_length=2, max_length=200, examples=["business licence seen, register queried"])
    verified_at: Moment | None = Field(default=None, description="When; the moment of admission if left out.")
    is_example: bool = False
    jwk: dict[str, Any] | None = Field(default=None, description="First public key (RFC 7517), Ed25519 or P-256.")


class ParticipantOut(BaseModel):
    """A participant as every other one sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    legal_name: str
    legal_name_en: str
    credit_code: str
    kind: str
    roles: list[str]
    jurisdiction: str
    foreign_controlled: bool
    licence_number: str | None
    verified_by: str
    verification_method: str
    verified_at: datetime
    admitted_at: datetime
    suspended_at: datetime | None
    is_example: bool


class ParticipantPage(BaseModel):
    """Participants in order of admission.  next: cursor of the next page, null on the last."""

    items: list[ParticipantOut]
    next: str | None


class KeyIn(BaseModel):
    """A public key to register; the private half never leaves its owner."""

    model_config = ConfigDict(extra="forbid")

    jwk: dict[str, Any] = Field(description="Public JWK (RFC 7517), Ed25519 or P-256.")
    valid_until: Moment | None = Field(default=None, description="End of the key's life, if it is planned.")


class KeyOut(BaseModel):
    """A registered public key."""

    model_config = ConfigDict(from_attributes=True)

    kid: str
    participant_id: str
    alg: str
    jwk: dict[str, Any]
    valid_from: datetime
    valid_until: datetime | None
    revoked_at: datetime | None


class ConnectorIn(BaseModel):
    """A component to register, as its certification and its operator describe it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    participant_id: str = Field(max_length=80, description="The participant that operates it.")
    identifier: str = Field(
        description="The participant's name in the Dataspace Protocol.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/%-]{1,199}$",
        examples=["did:web:connector.example:pharma"],
    )
    software: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$", examples=["example-connector"])
    software_version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,39}$", examples=["0.15.1"])
    jwk: dict[str, Any] = Field(description="Public JWK (RFC 7517) of the component, Ed25519 or P-256.")
    addresses: list[Annotated[str, StringConstraints(max_length=200)]] = Field(
        min_length=1,
        max_length=10,
        description="Origins that may be called for it, each exactly `scheme://host:port`.",
        examples=[["https://connector.example:443"]],
    )
    certified_by: Name
    certificate_number: str = Field(min_length=1, max_length=80)
    certified_until: Moment
    signs: bool = Field(
        default=True,
        description="Its messages carry signatures of contracts; if not, its participant signs over this API.",
    )


class ConnectorOut(BaseModel):
    """A registered component; it is refused once it is suspended or its certification has ended."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    participant_id: str
    identifier: str
    software: str
    software_version: str
    jwk: dict[str, Any]
    addresses: list[str]
    certified_by: str
    certificate_number: str
    certified_until: datetime
    signs: bool
    registered_at: datetime
    suspended_at: datetime | None


class ConnectorPage(BaseModel):
    """Connectors in order of registration.  next: cursor of the next page, null on the last."""

    items: list[ConnectorOut]
    next: str | None


class RevocationIn(BaseModel):
    """Why a key ends now."""

    model_config = ConfigDict(extra="forbid")

    reason: Literal["compromised", "superseded", "ceased"]


class SuspensionIn(BaseModel):
    """Why a participant is suspended or reinstated; no names of persons."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: str = Field(min_length=4, max_length=200)


class TokenOut(BaseModel):
    """An access token (RFC 6749 section 5.1)."""

    access_token: str
    token_type: Literal["Bearer", "DPoP"]
    expires_in: int = Field(description="Seconds.")
    person: str | None = Field(
        default=None, description="Commitment of the person named by the assertion's claim `person`, as in entries."
    )


class AuthorizationServerOut(BaseModel):
    """Where and how a client gets a token (RFC 8414)."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    response_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    token_endpoint_auth_signing_alg_values_supported: list[str]
    dpop_signing_alg_values_supported: list[str]
    service_documentation: str


class ProtectedResourceOut(BaseModel):
    """Which tokens this API takes (RFC 9728)."""

    resource: str
    authorization_servers: list[str]
    jwks_uri: str
    bearer_methods_supported: list[str]
    dpop_signing_alg_values_supported: list[str]
    dpop_bound_access_tokens_required: bool


class KeySetOut(BaseModel):
    """Public keys that delivery manifests, notices and receipts are checked with (RFC 7517)."""

    keys: list[dict[str, Any]]
