"""The verbs of usage control: gather the facts, ask the policy, record the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets.models import Version
from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE, Actor
from marketplace.kernel.canonical import Json, digest, sha256_hex
from marketplace.legal.queries import valid_opinion
from marketplace.negotiation.models import Agreement
from marketplace.participants.queries import participant
from marketplace.plumbing import policyreleases
from marketplace.plumbing.epochs import Stop
from marketplace.plumbing.epochs import hold as hold_epochs
from marketplace.plumbing.policy import UNAVAILABLE
from marketplace.plumbing.policyreleases import Accepted
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.snapshots import once_per_snapshot, snapshot
from marketplace.registration.queries import certificate_standing, valid_certificate
from marketplace.settings import Settings
from marketplace.usage import queries, rules
from marketplace.usage.facts import AgreementFacts, Asked, Credential, Part, Quota, VersionFacts, checked, part
from marketplace.usage.rules import Ruling, UseRequest

PACKAGE = "access"


@dataclass(frozen=True)
class Gathered:
    """Facts with what they rest on, as in Ruling.  now: when; policies: the newest accepted bundles at that time."""

    facts: Json
    subjects: tuple[str, ...]
    epoch: int
    stops_at: int
    now: datetime
    policies: tuple[Accepted, ...]


def authorize(
    db: Session, actor: Actor, agreement: Agreement, asked: UseRequest, now: datetime, runtime: Runtime
) -> Ruling:
    """Whether a use may happen now.  Reads only and takes no lock; `record_ruling` writes the entry.

    Returns a ruling, allowed or refused; a failing policy engine refuses.
    """
    return judge(runtime, gather(db, actor, agreement, asked, now))


def gather(db: Session, actor: Actor, agreement: Agreement, asked: UseRequest, now: datetime) -> Gathered:
    """Everything the policy is told about a use, in one read."""
    subjects = queries.subjects_of(agreement)
    # The epoch is read before the facts: a bump in between is then noticed when the use is recorded.
    epoch = _epoch(db, subjects, asked)
    standing = _standing(db, agreement.version_id, now)
    sides = _agreement_facts(db, agreement)
    facts = checked(
        {
            "now": _seconds(now),
            "asked": _asked_facts(actor, agreement, asked, sides.plain["buyer_place"]),
            "agreement": sides,
            "quota": _quota_facts(db, agreement, asked),
            "epoch": epoch,
            "uses": queries.compiled_uses(db, agreement),
            **standing.facts,
        }
    )
    signed = facts["agreement"]
    ends = [signed["ends_at"], *standing.ends, *rules.lapses(facts["uses"], signed["final_at"])]
    ends += [_seconds(asked.until)] if asked.until else []
    return Gathered(facts, (*subjects, *asked.grounds), epoch, min(ends), now, policyreleases.newest(db))


def _epoch(db: Session, subjects: tuple[str, ...], asked: UseRequest) -> int:
    """The sum of the epochs that a use rests on; those of its own grounds as the caller found them."""
    if asked.grounds_epoch is None:
        return queries.epoch(db, (*subjects, *asked.grounds))
    return queries.epoch(db, subjects) + asked.grounds_epoch


def judge(runtime: Runtime, gathered: Gathered) -> Ruling:
    """Ask the policies that may decide now; to be called while no lock is held."""
    decision = policyreleases.decide(runtime, gathered.policies, gathered.now, PACKAGE, gathered.facts)
    name = decision.about or digest(gathered.facts)
    return Ruling(decision, gathered.facts, name, gathered.subjects, gathered.epoch, gathered.stops_at)


def confirm_all(db: Session, rulings: Sequence[Ruling], now: datetime, settings: Settings) -> list[Ruling]:
    """As `confirm`, of several rulings in one transaction: what they rest on is read once."""
    hold_epochs(db)
    with snapshot(db):
        queries.read_epochs(db, [one.subjects for one in rulings if one.decision.allow])
        return [confirm(db, one, now, settings) for one in rulings]


def confirm(db: Session, ruling: Ruling, now: datetime, settings: Settings) -> Ruling:
    """The ruling in the transaction that acts on it: refused when a subject was stopped since the facts were read, or
    when other policies were accepted meanwhile."""
    if ruling.decision.allow and queries.epoch(db, ruling.subjects, hold=True) != ruling.epoch:
        return ruling.refused(rules.EPOCH_CHANGED)
    if ruling.decision.allow and not policyreleases.still_decides(db, ruling.decision, now, settings):
        return ruling.refused(UNAVAILABLE)
    return ruling


def record_ruling(
    db: Session,
    actor: Actor,
    agreement: Agreement,
    ruling: Ruling,
    now: datetime,
    *,
    about: Json,
    tag: Tag | None = None,
) -> str:
    """Write the entry of a use that was allowed or refused, or of a question about one; returns its id.

    tag: of a question; about: what else names this use, e.g. its transfer.  The facts enter by digest only, and so does
    the number of an ethics decision: it is the caller's own text.
    Records: usage:allowed, usage:refused or usage:decided.
    """
    decision, asked = ruling.decision, ruling.facts["asked"]
    facts: Json = {
        "purpose": rules.named(asked["purpose"], rules.PURPOSES),
        "action": rules.named(asked["action"], rules.ACTIONS),
        "place": asked["place"],
        **({"ethics_approval": sha256_hex(asked["ethics_approval"].encode())} if asked["ethics_approval"] else {}),
        "facts": ruling.digest,
        "reasons": list(decision.reasons),
        "obligations": list(decision.obligations),
        "revision": decision.revision,
        "epoch": ruling.epoch,
        "uses": ruling.facts["quota"]["uses_asked"],
        "bytes": ruling.facts["quota"]["bytes_asked"],
        **about,
    }
    return record(
        db,
        actor,
        tag or (Tag.USE_ALLOWED if decision.allow else Tag.USE_REFUSED),
        now,
        asset=agreement.asset_id,
        version=agreement.version_id,
        agreement=agreement.id,
        facts=facts,
    )


def _asked_facts(actor: Actor, agreement: Agreement, asked: UseRequest, registered_at: str) -> Part:
    told = {
        "party": actor.participant,
        "asset": asked.asset or agreement.asset_id,
        "action": asked.action,
        "purpose": asked.purpose,
        "delivery_mode": asked.delivery_mode,
        "place": asked.place or registered_at,
        "output": asked.output,
        "smallest_group": asked.smallest_group,
        "ethics_approval": asked.ethics_approval,
    }
    return part(Asked, told)


class _Standing(NamedTuple):
    """What of a version is the same for every use of it at one moment.  ends: Unix seconds at which it lapses."""

    facts: dict[str, Part]
    ends: list[int]


@once_per_snapshot
def _standing(db: Session, version_id: str, now: datetime) -> _Standing:
    version = assets.version(db, version_id)
    certificate = valid_certificate(db, version, now)
    opinion = valid_opinion(db, version, now)
    state = certificate_standing(db, version, now)
    facts = {
        "version": part(VersionFacts, _version_facts(version)),
        "certificate": part(Credential, {"valid": certificate is not None, "state": state}),
        "opinion": part(Credential, {"valid": opinion is not None, "state": "valid" if opinion else "none"}),
    }
    ends = [certificate.valid_until] if certificate else []
    ends += [opinion.expires_at, *queries.open_conditions(db, opinion)] if opinion else []
    return _Standing(facts, [_seconds(end) for end in ends])


@once_per_snapshot
def _parties(db: Session, provider_id: str, buyer_id: str) -> Json:
    provider, buyer = participant(db, provider_id), participant(db, buyer_id)
    return {
        "provider": provider_id,
        "buyer": buyer_id,
        "buyer_kind": buyer.kind,
        "buyer_place": buyer.jurisdiction,
        "provider_place": provider.jurisdiction,
        "parties_active": provider.suspended_at is None and buyer.suspended_at is None,  # gate H11
    }


def _agreement_facts(db: Session, agreement: Agreement) -> Part:
    final_at = queries.final_at(db, agreement)
    told = {
        "id": agreement.id,
        "document": agreement.document,
        "state": agreement.state,
        **_parties(db, agreement.provider_id, agreement.buyer_id),
        "asset": agreement.asset_id,
        "version": agreement.version_id,
        "delivery_mode": agreement.delivery_mode,
        "starts_at": _seconds(agreement.starts_at),
        "ends_at": _seconds(agreement.ends_at),
        "final_at": _seconds(final_at) if final_at else 0,
        "signers": tuple(queries.signers(db, agreement)),
        "terms_signed": queries.terms_signed(db, agreement),
        "listing_stands": queries.listing_stands(db, agreement),
        "held_for": agreement.reason if (agreement.state, agreement.suspended_by) == ("suspended", SERVICE) else "",
    }
    return part(AgreementFacts, told)


def _version_facts(version: Version) -> Json:
    return {
        "id": version.id,
        "asset": version.asset_id,
        "kind": version.kind,
        "stage": version.stage,
        "sealed": version.sealed_at is not None and version.root != "",
        "consent_stands": version.stop_reason != Stop.CONSENT_WITHDRAWN,
    }


def _quota_facts(db: Session, agreement: Agreement, asked: UseRequest) -> Part:
    taken = queries.taken(db, agreement.id)
    uses_before, bytes_before = queries.carried(db, agreement.id)
    told = {
        "uses_taken": uses_before + taken.uses,
        "uses_asked": asked.uses,
        "bytes_taken": bytes_before + taken.bytes,
        "bytes_asked": asked.bytes,
    }
    return part(Quota, told)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
