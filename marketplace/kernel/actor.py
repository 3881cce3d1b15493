"""Who acts: every write names one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What an organisation is admitted to do here."""

    PROVIDER = "provider"
    LAW_FIRM = "law_firm"
    REGISTRAR = "registrar"
    EXCHANGE_OPERATOR = "exchange_operator"
    BUYER = "buyer"
    AUDITOR = "auditor"
    PLATFORM_OPERATOR = "platform_operator"


# What workers act as; no participant can hold it.
SERVICE = "service"


@dataclass(frozen=True)
class Actor:
    """The authenticated caller of a verb.

    participant: id of the organisation, or `service` for work nobody asked for at that moment.
    roles: role names; `service` alone for workers.
    kid: the key the caller authenticated with; proof_thumbprint: RFC 7638 thumbprint of the DPoP key the
    access token is bound to (RFC 9449), None for an unbound token.
    person: who acts, as that organisation names them, None for a machine client; stays out of what is printed.
    """

    participant: str
    roles: frozenset[str]
    kid: str | None = None
    proof_thumbprint: str | None = None
    person: str | None = field(default=None, repr=False)

    def has(self, role: Role) -> bool:
        return role in self.roles


SERVICE_ACTOR = Actor(participant=SERVICE, roles=frozenset({SERVICE}))
