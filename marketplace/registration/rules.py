"""The registrar's rules: state tables, who can register what, codes, states of a certificate.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from marketplace.audit.entry import Tag
from marketplace.kernel.actor import Role
from marketplace.kernel.errors import Conflict, Forbidden, Invalid
from marketplace.kernel.transitions import Machine, step
from marketplace.registration.profile import Profile
from marketplace.registration.workdays import local_day

SERIALS = 9999


class State(StrEnum):
    """How far an application has come."""

    FILED = "filed"
    ACCEPTED = "accepted"
    NOTICED = "noticed"
    OBJECTED = "objected"
    CLEARED = "cleared"
    DEPOSITED = "deposited"
    CERTIFIED = "certified"
    RETURNED = "returned"
    REFUSED = "refused"


class CertificateState(StrEnum):
    """What a certificate is worth; `lapsed` is never stored, it follows from the clock."""

    VALID = "valid"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


class RightKind(StrEnum):
    """The three rights, independent and non-exclusive (art. 3)."""

    HOLDING = "holding"
    USE = "use"
    OPERATING = "operating"


_S, _C = State, CertificateState
_ANYBODY = "provider law_firm exchange_operator buyer auditor platform_operator"

APPLICATIONS = Machine(
    name="application",
    steps=(
        step(_S.FILED, _S.ACCEPTED, "registrar service", Tag.APPLICATION_ACCEPTED),
        step(_S.FILED, _S.RETURNED, "registrar", Tag.APPLICATION_RETURNED),
        step(_S.ACCEPTED, _S.NOTICED, "registrar", Tag.NOTICE_OPENED),
        step(_S.ACCEPTED, _S.REFUSED, "registrar", Tag.APPLICATION_REFUSED),
        step(_S.NOTICED, _S.OBJECTED, _ANYBODY, Tag.OBJECTION_RAISED),
        step(_S.OBJECTED, _S.OBJECTED, _ANYBODY, Tag.OBJECTION_RAISED),
        step(_S.OBJECTED, _S.NOTICED, "registrar", Tag.OBJECTION_SETTLED),
        step(_S.OBJECTED, _S.REFUSED, "registrar", Tag.APPLICATION_REFUSED),
        step(_S.NOTICED, _S.REFUSED, "registrar", Tag.APPLICATION_REFUSED),
        step(_S.NOTICED, _S.CLEARED, "registrar", Tag.NOTICE_CLOSED),
        step(_S.CLEARED, _S.DEPOSITED, "registrar", Tag.CERTIFICATE_PREPARED),
        step(_S.CLEARED, _S.REFUSED, "registrar", Tag.APPLICATION_REFUSED),
        step(_S.DEPOSITED, _S.DEPOSITED, "registrar", Tag.CERTIFICATE_PREPARED),
        step(_S.DEPOSITED, _S.CERTIFIED, "registrar", Tag.CERTIFICATE_ISSUED),
        step(_S.DEPOSITED, _S.REFUSED, "registrar", Tag.APPLICATION_REFUSED),
    ),
)
RUNNING = frozenset(_S) - {_S.CERTIFIED, _S.RETURNED, _S.REFUSED}

CERTIFICATES = Machine(
    name="certificate",
    steps=(
        step(_C.VALID, _C.SUSPENDED, "registrar", Tag.CERTIFICATE_SUSPENDED),
        step(_C.SUSPENDED, _C.VALID, "registrar", Tag.CERTIFICATE_RESUMED),
        step(_C.VALID, _C.CANCELLED, "registrar", Tag.CERTIFICATE_CANCELLED),
        step(_C.SUSPENDED, _C.CANCELLED, "registrar", Tag.CERTIFICATE_CANCELLED),
    ),
)


class NotRegistrable(Conflict):
    """This right cannot be registered for this data."""


class NotIndependent(Forbidden):
    """The registrar must stand apart from the data and from the exchange."""


class BadForm(Invalid):
    """The application contradicts itself."""


class CodesExhausted(Conflict):
    """No certificate code is left under this prefix."""


@dataclass(frozen=True)
class Claim:
    """One right asked for.  consent: SHA-256 of the consent of the other parties, where the origin needs it."""

    kind: RightKind
    holder: str
    consent: str | None = None


@dataclass(frozen=True)
class Source:
    """What the form says about where the data comes from.

    substitutes: a product of scraped data replaces the source's own; contract: SHA-256 of the contract that grants an
    entrusted processor the right; public_code: registration code of a product of authorised public-data operation.
    """

    origin: str
    source_kind: str
    substitutes: bool = False
    contract: str | None = None
    government_agency: bool = False
    public_operation: bool = False
    public_code: str | None = None


def require_public_source_settled(source: Source) -> None:
    """Gate H10: agency data is not registrable, public-operation products register there first (art. 15)."""
    if source.government_agency:
        raise NotRegistrable("data of a government agency cannot be registered (H10)", expected="another source")
    if source.public_operation and not source.public_code:
        raise NotRegistrable(
            "a product of authorised public-data operation registers on the public-data platform first (H10)",
            expected="its code there",
            got="none",
        )


def require_registrable(profile: Profile, source: Source, claims: Sequence[Claim], applicant: str) -> None:
    """Check every claimed right against the table of origins (art. 21).  Raises BadForm, NotRegistrable."""
    row = profile.origins.get(source.origin)
    if row is None:
        raise BadForm("unknown origin", expected=" or ".join(sorted(profile.origins)), got=source.origin)
    if source.source_kind not in row.source_kinds:
        raise BadForm(
            "origin and the asset's source kind do not fit",
            expected=" or ".join(sorted(row.source_kinds)),
            got=source.source_kind,
        )
    if applicant not in {claim.holder for claim in claims}:
        raise BadForm("the applicant holds none of the rights", expected=f"a right of {applicant}")
    if len({(claim.kind, claim.holder) for claim in claims}) != len(claims):
        raise BadForm("a right is asked for twice", expected="one row per kind and holder")
    for claim in claims:
        _require_claim(row.rights[claim.kind], source, claim, applicant)


def require_registrar(
    registrar: str, roles: Collection[str], *, applicant: str, holders: Collection[str], firm: str
) -> None:
    """A registrar registers nobody's data but others' (art. 10) and is neither exchange nor assessor here."""
    if Role.REGISTRAR not in roles:
        raise NotIndependent("not a registrar", expected="role registrar", got=", ".join(sorted(roles)) or "no role")
    if registrar == applicant or registrar in holders:
        raise NotIndependent("a registrar cannot register its own data", expected="another registrar", got=registrar)
    if registrar == firm:
        raise NotIndependent("the assessor cannot register what it assessed", expected="another registrar")
    clash = sorted({Role.EXCHANGE_OPERATOR, Role.PLATFORM_OPERATOR} & set(roles))
    if clash:
        raise NotIndependent("the registrar also runs the exchange", expected="registrar alone", got=", ".join(clash))


def code_prefix(region: str, digit: int, issued: datetime) -> str:
    """`SJ` + region 2 + registrar 1 + YYYYMM of the day of issue in Shanghai."""
    return f"SJ{region}{digit}{local_day(issued):%Y%m}"


def code(prefix: str, serial: int) -> str:
    """The 15 characters of a certificate code.  Raises CodesExhausted after 9999 in a month."""
    if serial > SERIALS:
        raise CodesExhausted("the month's serials are used up", expected=f"at most {SERIALS}", got=str(serial))
    return f"{prefix}{serial:04d}"


def certificate_state(stored: str, valid_until: datetime, now: datetime) -> CertificateState:
    """What a certificate is worth now: cancelled stays cancelled, else it lapses by itself at its end (art. 26)."""
    if stored == _C.CANCELLED:
        return _C.CANCELLED
    return _C.LAPSED if valid_until <= now else CertificateState(stored)


def _require_claim(answer: str, source: Source, claim: Claim, applicant: str) -> None:
    if claim.holder != applicant and not claim.consent:
        raise NotRegistrable(
            f"another party's {claim.kind} right is asked for without its consent", expected="consent evidence"
        )
    lacking = {
        "yes": None,
        "no_substitute": "a product that does not replace the source's own" if source.substitutes else None,
        "with_consent": None if claim.consent else "the consent of the other parties (H8)",
        "by_contract": None if source.contract else "a contract or law that grants the processor the right",
    }
    if (missing := lacking[answer]) is not None:
        raise NotRegistrable(
            f"the {claim.kind} right is not open to origin {source.origin} (art. 21)", expected=missing, got="none"
        )
