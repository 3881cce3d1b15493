"""The verbs of an application: file, accept, return, refuse, open and close the public notice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets.models import Asset, Version
from marketplace.assets.stages import STAGES, Stage
from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import SERVICE_ACTOR, Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.errors import Conflict, Invalid
from marketplace.kernel.ids import new_id
from marketplace.legal import queries as legal
from marketplace.participants import queries as participants
from marketplace.plumbing import outbox
from marketplace.registration import document, queries, rules
from marketplace.registration.models import Application
from marketplace.registration.profile import national
from marketplace.registration.rules import APPLICATIONS, Claim, Source, State
from marketplace.registration.schemas import (
    ApplicationIn,
    RefusalIn,
    ReviewIn,
)
from marketplace.registration.workdays import end_of_working_day, published

SILENCE_TASK = "registration.accept_by_silence"


class NotReadyToRegister(Conflict):
    """The version cannot be registered now."""


class AlreadyApplied(Conflict):
    """An application for this version is running."""


class UnknownHolder(Invalid):
    """A right is asked for somebody who is not a participant."""


class UnknownProof(Invalid):
    """The application cites evidence that is not kept for the asset."""


class NoticeRunning(Conflict):
    """The public notice has not ended."""


def file(db: Session, actor: Actor, version: Version, asked: ApplicationIn, now: datetime) -> Application:
    """Apply for the registration of rights on an assessed version; silence for three working days means accepted.

    Raises NotReadyToRegister, AlreadyApplied, NotRegistrable (gates H8, H10), NotIndependent, BadForm, UnknownHolder,
    UnknownProof.  Records: registration:application_filed.
    """
    asset = assets.own_asset(db, actor, version.asset_id)
    assets.lock_version(db, version)
    opinion = legal.valid_opinion(db, version, now)
    claims, source = _claims(asked, actor), _source(asked, asset)

    if not STAGES.permits(Stage(version.stage), "certify") or opinion is None:
        raise NotReadyToRegister(
            "registration follows a valid opinion on this very version (H15)",
            expected="stage assessed with a valid opinion",
            got=f"stage {version.stage}, {'a valid' if opinion else 'no valid'} opinion",
            action="let a law firm assess the version",
        )
    if (running := queries.running_application(db, version.id)) is not None:
        raise AlreadyApplied("an application is running", got=running.id, action="wait for its end")
    rules.require_public_source_settled(source)
    rules.require_registrable(national(), source, claims, actor.participant)
    _require_known(db, asset, claims, source, asked, now)
    _require_registrar(db, asked.registrar, actor.participant, claims, opinion.firm_id)

    found = _row(asked, asset, version, opinion.id, actor, now)
    content = document.application(found, queries.parties(db, found), asset, version)
    readers = [found.applicant_id, found.registrar_id]
    found.document = documents.keep(db, "application", content, now, readers=readers)
    db.add(found)
    outbox.enqueue(db, SILENCE_TASK, {"application": found.id}, key=found.id, now=now, due=accept_by(found))
    db.flush()

    facts: Json = {"application": found.id, "document": found.document, "registrar": found.registrar_id}
    record(db, actor, Tag.APPLICATION_FILED, now, asset=asset.id, version=version.id, facts=facts)
    return found


def accept(db: Session, actor: Actor, found: Application, now: datetime) -> Application:
    """The registrar accepts an application; the ten working days begin.  Records: registration:application_accepted."""
    queries.lock(db, found)

    return _move(db, actor, found, State.ACCEPTED, now, {"silence": False})


def accept_by_silence(db: Session, found: Application, now: datetime) -> Application:
    """Accept what the registrar left unanswered for three working days (art. 17); else nothing changes."""
    queries.lock(db, found)

    if found.state == State.FILED and accept_by(found) <= now:
        _move(db, SERVICE_ACTOR, found, State.ACCEPTED, now, {"silence": True})
    return found


def send_back(db: Session, actor: Actor, found: Application, reason: str, now: datetime) -> Application:
    """The registrar returns an incomplete application and names everything that is missing, once (art. 17).

    Silence after three working days has accepted it already.  Records: registration:application_returned.
    """
    accept_by_silence(db, found, now)
    found.reason = reason
    return _move(db, actor, found, State.RETURNED, now, {})


def refuse(db: Session, actor: Actor, found: Application, asked: RefusalIn, now: datetime) -> Application:
    """The registrar refuses on a ground of article 22.  Records: registration:application_refused."""
    accept_by_silence(db, found, now)
    found.reason = f"{asked.ground}: {asked.reason}"
    return _move(db, actor, found, State.REFUSED, now, {"ground": asked.ground})


def open_notice(db: Session, actor: Actor, found: Application, review: ReviewIn, now: datetime) -> Application:
    """The registrar has reviewed and opens five working days of public notice (art. 18, 24).

    Records: registration:notice_opened.
    """
    asset = assets.asset(db, found.asset_id)
    accept_by_silence(db, found, now)

    step = APPLICATIONS.step(State(found.state), State.NOTICED, actor.roles)
    if found.state == State.OBJECTED:
        raise NoticeRunning("the notice was opened already", expected="accepted", got=found.state)

    found.state, found.review = State.NOTICED, review.model_dump()
    found.notice_from = now
    found.notice_until = end_of_working_day(now, national().notice_days, published())
    content = document.notice(found, queries.parties(db, found), asset)
    found.notice_document = documents.keep(db, "notice", content, now)
    db.add(found)
    db.flush()

    facts = {"application": found.id, "document": found.notice_document, "until": timestamp(found.notice_until)}
    record(db, actor, Tag(step.tag), now, asset=found.asset_id, version=found.version_id, facts=facts)
    return found


def close_notice(db: Session, actor: Actor, found: Application, now: datetime) -> Application:
    """End the public notice, which the clock alone allows.

    Raises NoticeRunning, saying when it ends; WrongState while an objection is open.
    Records: registration:notice_closed.
    """
    queries.lock(db, found)

    APPLICATIONS.step(State(found.state), State.CLEARED, actor.roles)
    if found.notice_until is None or now < found.notice_until:
        until = timestamp(found.notice_until) if found.notice_until else "its end"
        raise NoticeRunning(
            "the public notice is still running", expected=f"{until} or later", got=timestamp(now), action="wait for it"
        )
    return _move(db, actor, found, State.CLEARED, now, {"notice": found.notice_document})


def accept_by(found: Application) -> datetime:
    """When silence becomes acceptance."""
    return end_of_working_day(found.filed_at, national().acceptance_days, published())


def require_independent(db: Session, found: Application, firm: str) -> None:
    """The registrar still stands apart from data, assessor and exchange.  Raises NotIndependent."""
    claims = [Claim(rules.RightKind(one["kind"]), one["holder"]) for one in found.form["rights"]]
    _require_registrar(db, found.registrar_id, found.applicant_id, claims, firm)


def _move(db: Session, actor: Actor, found: Application, target: State, now: datetime, facts: Json) -> Application:
    step = APPLICATIONS.step(State(found.state), target, actor.roles)
    found.state = target
    if target == State.ACCEPTED:
        found.accepted_at = now
    db.add(found)
    db.flush()
    facts = {"application": found.id, **facts}
    record(db, actor, Tag(step.tag), now, asset=found.asset_id, version=found.version_id, facts=facts)
    return found


def _claims(asked: ApplicationIn, actor: Actor) -> list[Claim]:
    return [Claim(one.kind, one.holder or actor.participant, one.consent) for one in asked.rights]


def _source(asked: ApplicationIn, asset: Asset) -> Source:
    form = asked.form
    return Source(
        origin=form.origin,
        source_kind=asset.source_kind,
        substitutes=form.substitutes,
        contract=form.contract,
        government_agency=form.government_agency,
        public_operation=form.public_operation,
        public_code=form.public_code,
    )


def _require_known(
    db: Session, asset: Asset, claims: Sequence[Claim], source: Source, asked: ApplicationIn, now: datetime
) -> None:
    if any(one.until is not None and one.until <= now for one in asked.rights):
        raise rules.BadForm("a right ends before it begins", expected=f"an end after {timestamp(now)}")
    for claim in claims:
        try:
            participants.participant(db, claim.holder)
        except participants.NoSuchParticipant as error:
            raise UnknownHolder("the holder is not a participant", got=claim.holder) from error
    for proof in [source.contract, *(claim.consent for claim in claims)]:
        if proof is not None and legal.evidence_row(db, asset.id, proof) is None:
            raise UnknownProof("no such evidence for this asset", got=proof, action="POST /v1/evidence first")


def _require_registrar(db: Session, registrar: str, applicant: str, claims: Sequence[Claim], firm: str) -> None:
    try:
        roles = participants.participant(db, registrar).roles
    except participants.NoSuchParticipant as error:
        raise rules.BadForm("the registrar is not a participant", got=registrar) from error
    holders = {claim.holder for claim in claims}
    rules.require_registrar(registrar, roles, applicant=applicant, holders=holders, firm=firm)


def _row(
    asked: ApplicationIn, asset: Asset, version: Version, opinion: str, actor: Actor, now: datetime
) -> Application:
    rights = [
        {
            "kind": one.kind.value,
            "holder": one.holder or actor.participant,
            "until": timestamp(one.until) if one.until else None,
            "limits": one.limits,
            "consent": one.consent,
        }
        for one in asked.rights
    ]
    return Application(
        id=new_id("app"),
        asset_id=asset.id,
        version_id=version.id,
        applicant_id=actor.participant,
        registrar_id=asked.registrar,
        opinion_id=opinion,
        state=State.FILED,
        document="",
        form={"years": asked.years, "rights": rights, "form": asked.form.model_dump(mode="json")},
        filed_at=now,
    )
