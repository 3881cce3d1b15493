"""The verbs of participants: admit, register and revoke keys, suspend and reinstate."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.audit.words import keep_text
from marketplace.kernel.actor import SERVICE_ACTOR, Actor, Role
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict, Forbidden, Invalid
from marketplace.kernel.ids import new_id
from marketplace.participants import queries, rules
from marketplace.participants.models import Participant, ParticipantKey
from marketplace.participants.schemas import ParticipantIn
from marketplace.plumbing import epochs


class NotTheOperator(Forbidden):
    """Only the platform operator admits and suspends participants."""


class NotYourKey(Forbidden):
    """A key belongs to its participant alone."""


class AlreadyAdmitted(Conflict):
    """An organisation with this credit code is already a participant."""


class AlreadyHasParticipants(Conflict):
    """The first operator is made in an empty market only."""


class KeyAlreadyRegistered(Conflict):
    """A key is registered once, for one participant, and never again."""


class KeyAlreadyRevoked(Conflict):
    """This key was revoked before."""


class AlreadySuspended(Conflict):
    """The participant is suspended already."""


class NotSuspended(Conflict):
    """The participant is not suspended."""


class WrongMoment(Invalid):
    """This moment cannot be right."""


def admit(db: Session, actor: Actor, asked: ParticipantIn, now: datetime) -> Participant:
    """Make an organisation with verified identity a participant, with its first key if one is given.

    Raises NotTheOperator, InvalidCreditCode, RolesDoNotMix, WrongMoment, AlreadyAdmitted, and what `register_key`
    raises.  Records: participant:admitted, participant:key_registered.  Source: Data Security Law art. 33.
    """
    _require_operator(actor)
    return _enter(db, actor, asked, now)


def bootstrap_operator(db: Session, asked: ParticipantIn, now: datetime) -> Participant:
    """Make the platform's own operator the first participant; only in a market that has none.

    asked: with the role platform_operator and its public key.  Raises AlreadyHasParticipants, and what `admit`
    raises.  Records: participant:admitted, participant:key_registered, both by `service`.
    """
    if queries.admitted(db, limit=1).rows:
        raise AlreadyHasParticipants("this market already has participants", action="let its operator admit others")
    if asked.roles != [Role.PLATFORM_OPERATOR] or asked.jwk is None:
        raise Invalid(
            "the first participant must be the platform operator with its key",
            expected="roles [platform_operator] and a jwk",
            got=f"roles {[str(role) for role in asked.roles]}" + ("" if asked.jwk else " and no jwk"),
        )
    return _enter(db, SERVICE_ACTOR, asked, now)


def register_key(
    db: Session, actor: Actor, participant_id: str, jwk: dict[str, Any], now: datetime, *, until: datetime | None = None
) -> ParticipantKey:
    """Add a public key of a participant, valid from now on.

    The participant itself adds keys; the platform operator only while there is no valid one (the first key, or after
    a loss), so that it cannot slip a key of its own beside the owner's.  until: planned end of the key's life.
    Raises NoSuchParticipant, NotYourKey, BadKey, WeakKey, WrongMoment, KeyAlreadyRegistered.
    Records: participant:key_registered.
    """
    owner = queries.participant(db, participant_id)

    recovering = actor.has(Role.PLATFORM_OPERATOR) and not queries.live_keys(db, owner.id, now)
    if actor.participant != owner.id and not recovering:
        raise NotYourKey(
            "a key is added by its own participant; the platform operator may do so only while there is no valid key",
            expected=owner.id,
            got=actor.participant,
        )
    if until is not None and until <= now:
        raise WrongMoment("the key would never be valid", expected=f"after {timestamp(now)}", got=timestamp(until))
    return _add_key(db, actor, owner, jwk, now, until)


def revoke_key(db: Session, actor: Actor, participant_id: str, kid: str, reason: str, now: datetime) -> ParticipantKey:
    """End a key at once: it authenticates nobody and signs nothing from this moment; older signatures stay valid.

    Raises NoSuchKey, NotYourKey, KeyAlreadyRevoked.  Records: participant:key_revoked.
    """
    key = queries.key(db, participant_id, kid)
    queries.lock(db, key)

    if actor.participant != participant_id and not actor.has(Role.PLATFORM_OPERATOR):
        raise NotYourKey(
            "a key is revoked by its participant or the platform operator",
            expected=participant_id,
            got=actor.participant,
        )
    if key.revoked_at is not None:
        raise KeyAlreadyRevoked("this key was revoked before", got=timestamp(key.revoked_at))

    key.revoked_at = now
    db.add(key)
    db.flush()

    record(db, actor, Tag.KEY_REVOKED, now, facts={"participant": participant_id, "kid": kid, "reason": reason})
    return key


def suspend(db: Session, actor: Actor, participant_id: str, reason: str, now: datetime) -> Participant:
    """Shut a participant out at once; its keys authenticate nobody until it is reinstated.

    Raises NoSuchParticipant, NotTheOperator, AlreadySuspended.  Records: participant:suspended.
    """
    found = queries.participant(db, participant_id)
    queries.lock(db, found)

    _require_operator(actor)
    if found.suspended_at is not None:
        raise AlreadySuspended("the participant is suspended already", got=timestamp(found.suspended_at))

    found.suspended_at = now
    db.add(found)

    words = keep_text(db, reason, now, (found.id, actor.participant))
    facts = {"participant": found.id, "words": words}
    entry = record(db, actor, Tag.PARTICIPANT_SUSPENDED, now, facts=facts)
    epochs.stop(db, (found.id,), epochs.Stop.PARTY_SUSPENDED, actor, entry, now)
    return found


def reinstate(db: Session, actor: Actor, participant_id: str, reason: str, now: datetime) -> Participant:
    """End a suspension.  reason: free text, kept as a document that the participant may read.

    Raises NoSuchParticipant, NotTheOperator, NotSuspended.  Records: participant:reinstated.
    """
    found = queries.participant(db, participant_id)
    queries.lock(db, found)

    _require_operator(actor)
    if found.suspended_at is None:
        raise NotSuspended("the participant is not suspended", got=participant_id)

    found.suspended_at = None
    db.add(found)
    db.flush()

    words = keep_text(db, reason, now, (found.id, actor.participant))
    record(db, actor, Tag.PARTICIPANT_REINSTATED, now, facts={"participant": found.id, "words": words})
    return found


def _require_operator(actor: Actor) -> None:
    if not actor.has(Role.PLATFORM_OPERATOR):
        raise NotTheOperator("this needs the role platform_operator", got=", ".join(sorted(actor.roles)) or "no role")


def _enter(db: Session, actor: Actor, asked: ParticipantIn, now: datetime) -> Participant:
    code = rules.require_credit_code(asked.credit_code)
    roles = rules.require_roles(asked.roles)
    verified_at = asked.verified_at or now
    if verified_at > now:
        raise WrongMoment("verified in the future", expected=f"by {timestamp(now)}", got=timestamp(verified_at))
    if queries.by_credit_code(db, code) is not None:
        raise AlreadyAdmitted("an organisation with this credit code is already a participant", got=code)

    fields = asked.model_dump(exclude={"credit_code", "roles", "verified_at", "jwk"})
    entered = Participant(
        id=new_id("prt"),
        credit_code=code,
        roles=[str(role) for role in roles],
        verified_at=verified_at,
        admitted_at=now,
        **fields,
    )
    db.add(entered)
    db.flush()
    epochs.open_epoch(db, entered.id)

    how = f"{entered.verified_by}: {entered.verification_method}"
    words = keep_text(db, how, now, (entered.id, actor.participant))
    facts: Json = {
        "participant": entered.id,
        "legal_name": entered.legal_name,
        "credit_code": code,
        "roles": entered.roles,
    }
    facts |= {"is_example": entered.is_example, "verification": words}
    record(db, actor, Tag.PARTICIPANT_ADMITTED, now, facts=facts | {"verified_at": timestamp(verified_at)})
    if asked.jwk is not None:
        _add_key(db, actor, entered, asked.jwk, now, None)
    return entered


def _add_key(
    db: Session, actor: Actor, owner: Participant, jwk: dict[str, Any], now: datetime, until: datetime | None
) -> ParticipantKey:
    public = rules.require_strong_key(jwk)
    if db.get(ParticipantKey, public["kid"]) is not None:
        raise KeyAlreadyRegistered(
            "this key was registered before", got=public["kid"], action="generate a fresh key pair"
        )

    key = ParticipantKey(
        kid=public["kid"], participant_id=owner.id, jwk=public, alg=public["alg"], valid_from=now, valid_until=until
    )
    db.add(key)
    db.flush()

    record(
        db,
        actor,
        Tag.KEY_REGISTERED,
        now,
        facts={"participant": owner.id, "kid": key.kid, "alg": key.alg, "jwk": public},
    )
    return key
