"""The verbs of legal assessment: draft, sign, meet a condition; evidence is added in `evidence`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets import service as passport
from marketplace.assets.models import Asset, Version
from marketplace.assets.schemas import EvidenceItem, SignatureIn
from marketplace.assets.stages import Stage
from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.errors import Conflict, Invalid
from marketplace.kernel.ids import new_id
from marketplace.legal import checklist as checklists
from marketplace.legal import document, lapsing, metering, queries, rules
from marketplace.legal.models import Opinion, OpinionCondition
from marketplace.legal.schemas import OpinionIn
from marketplace.participants import queries as participants
from marketplace.participants import signatures
from marketplace.plumbing import epochs
from marketplace.plumbing.epochs import Stop


class UncitedEvidence(Invalid):
    """A finding cites what is not kept for this version."""


class UnknownOwner(Invalid):
    """The owner of a condition is not a participant."""


class NothingToCarry(Conflict):
    """This opinion cannot be carried over."""


class NumberTaken(Conflict):
    """The firm has signed another opinion under this number."""


class NotTheDraft(Conflict):
    """The signature is for another document or the draft no longer stands."""


class ConditionClosed(Conflict):
    """This condition was met already or its day has passed."""


def draft(db: Session, actor: Actor, version: Version, asked: OpinionIn, now: datetime) -> Opinion:
    """Write down a law firm's assessment of a version and prepare the document to sign.

    Raises NotIndependent, NotAssessable, IncompleteChecklist, UnsupportedFinding, UncitedEvidence, UnknownOwner,
    NothingToCarry, NumberTaken, OpinionTooLong.  Records: legal:opinion_drafted.
    """
    asset = assets.asset(db, version.asset_id)
    previous = _carried(db, actor, asset, asked.carried_from, now)

    _require_assessor(db, actor, asset, version)
    if queries.signed_number(db, actor.participant, asked.number):
        raise NumberTaken("a signed opinion has this number", got=asked.number, action="use a fresh number")
    checklist, findings = checklists.current(), _findings(db, asked, previous)
    outcome = rules.outcome(checklist, findings, now)
    cited = _cited(db, version, findings, previous)

    opinion = _opinion(actor, version, asked, outcome, now, carried_from=previous)
    conditions = _conditions(db, opinion, rules.open_findings(checklist, findings))
    content = document.render(
        opinion,
        asset,
        version,
        firm=participants.participant(db, actor.participant),
        lawyers=[one.model_dump() for one in asked.lawyers],
        checklist=checklist,
        findings=findings,
        cited=cited,
        conditions=conditions,
        reservations=asked.reservations,
        carried_from=previous,
    )
    _keep(db, opinion, conditions, content, asset, now)

    facts = {"opinion": opinion.id, "document": opinion.document, "outcome": opinion.outcome, "root": opinion.root}
    record(db, actor, Tag.OPINION_DRAFTED, now, asset=asset.id, version=version.id, facts=facts)
    return opinion


def sign(db: Session, actor: Actor, opinion: Opinion, signed: SignatureIn, now: datetime) -> Opinion:
    """Accept the firm's signature: PASS and CONDITIONAL advance the version to `assessed`; FAIL advances nothing
    and stops uses that rest on an earlier opinion.

    Raises NotTheDraft, NotIndependent, NotAssessable, NumberTaken, BadSignature, UnknownKey.
    Records: legal:opinion_signed, asset:stage_reached, costing:metered.
    """
    queries.lock(db, opinion)
    version = assets.version(db, opinion.version_id)
    assets.lock_version(db, version)
    asset = assets.asset(db, version.asset_id)

    _require_assessor(db, actor, asset, version)
    _require_draft(opinion, version, signed.document, now)
    if queries.signed_number(db, opinion.firm_id, opinion.number):
        raise NumberTaken("a signed opinion has this number", got=opinion.number, action="draft with a fresh number")
    signature = signatures.accept(db, actor.participant, opinion.document, signed.jws, typ=document.SIGN_AS, now=now)

    opinion.state, opinion.signed_at = "signed", now
    db.add(opinion)
    db.flush()

    facts = {"opinion": opinion.id, "document": opinion.document, "outcome": opinion.outcome, "root": opinion.root}
    entry = record(db, actor, Tag.OPINION_SIGNED, now, asset=asset.id, version=version.id, facts=facts)
    lapsing.watch(db, opinion, now)
    if opinion.outcome != rules.Outcome.FAIL and Stage(version.stage) in rules.ADVANCING:
        _advance(db, actor, opinion, version, signature, now)
    if opinion.outcome == rules.Outcome.FAIL:
        epochs.stop(db, (version.id,), Stop.OPINION_NOT_VALID, actor, entry, now)
    metering.meter_opinion(db, actor, opinion, asset, now)
    return opinion


def meet_condition(
    db: Session, actor: Actor, opinion: Opinion, condition_id: str, proof: str, now: datetime
) -> OpinionCondition:
    """The firm confirms with evidence that a condition was met in time; a missed one voids the opinion for good.

    proof: SHA-256 of evidence kept for the version.
    Raises NotTheDraft, NoSuchCondition, ConditionClosed, UncitedEvidence.
    Records: legal:condition_met, costing:metered.
    """
    queries.lock(db, opinion)
    condition = queries.condition(db, opinion.id, condition_id)
    db.refresh(condition)
    version = assets.version(db, opinion.version_id)

    if opinion.firm_id != actor.participant or opinion.state != "signed":
        raise NotTheDraft("conditions of a signed opinion are closed by its firm", expected=opinion.firm_id)
    if condition.met_at is not None or condition.due_at <= now:
        state = "met" if condition.met_at is not None else f"missed since {condition.due_at.isoformat()}"
        raise ConditionClosed("the condition is closed", expected="an open one", got=state, action="assess again")
    if proof not in queries.evidence(db, version):
        raise UncitedEvidence("no such evidence for this version", got=proof, action="POST /v1/evidence first")

    condition.met_at, condition.proof = now, proof
    db.add(condition)
    db.flush()

    facts = {"opinion": opinion.id, "condition": condition.id, "item": condition.item, "proof": proof}
    record(db, actor, Tag.OPINION_CONDITION_MET, now, asset=version.asset_id, version=version.id, facts=facts)
    metering.meter_confirmation(db, actor, opinion, condition, assets.asset(db, version.asset_id), now)
    return condition


def _findings(db: Session, asked: OpinionIn, previous: Opinion | None) -> list[rules.Finding]:
    fresh = [one.finding() for one in asked.findings]
    if previous is None:
        return fresh
    earlier = document.findings_of(documents.content(db, previous.document))
    return rules.carry(checklists.current(), earlier, fresh)


def _opinion(
    actor: Actor, version: Version, asked: OpinionIn, outcome: str, now: datetime, *, carried_from: Opinion | None
) -> Opinion:
    return Opinion(
        id=new_id("opn"),
        version_id=version.id,
        firm_id=actor.participant,
        number=asked.number,
        root=version.root,
        document="",
        outcome=outcome,
        law_profile=rules.LAW_PROFILE,
        carried_from=carried_from.id if carried_from else None,
        drafted_at=now,
        expires_at=rules.expiry(now, asked.expires_at),
    )


def _keep(
    db: Session, opinion: Opinion, conditions: Sequence[OpinionCondition], content: Json, asset: Asset, now: datetime
) -> None:
    readers = [opinion.firm_id, asset.provider_id, *queries.overseers(db)]
    opinion.document = documents.keep(db, document.KIND, content, now, readers=readers)
    db.add(opinion)
    db.flush()
    db.add_all(conditions)
    db.flush()


def _require_assessor(db: Session, actor: Actor, asset: Asset, version: Version) -> None:
    roles = set(participants.participant(db, actor.participant).roles) | set(actor.roles)
    rules.require_independent(actor.participant, roles, asset.provider_id)
    rules.require_assessable(version.kind, version.stage, version.root)


def _require_draft(opinion: Opinion, version: Version, signed: str, now: datetime) -> None:
    expected = {"document": opinion.document, "state": "drafted", "root": opinion.root, "in date": True}
    got = {"document": signed, "state": opinion.state, "root": version.root, "in date": now < opinion.expires_at}
    for name, value in expected.items():
        if got[name] != value:
            raise NotTheDraft(f"{name} differs", expected=str(value), got=str(got[name]), action="draft it again")


def _carried(db: Session, actor: Actor, asset: Asset, opinion_id: str | None, now: datetime) -> Opinion | None:
    if opinion_id is None:
        return None
    found = queries.opinion(db, actor, opinion_id)
    same = assets.version(db, found.version_id).asset_id == asset.id and found.firm_id == actor.participant
    passed = found.state == "signed" and found.outcome == rules.Outcome.PASS and found.expires_at > now
    if not (same and passed and found.law_profile == rules.LAW_PROFILE):
        raise NothingToCarry(
            "findings are carried from the firm's own PASS opinion on this asset that is in date",
            got=f"{found.outcome} {found.state}",
            action="answer all items afresh",
        )
    return found


def _cited(
    db: Session, version: Version, findings: Sequence[rules.Finding], previous: Opinion | None
) -> Mapping[str, Json]:
    known: dict[str, Json] = {name: item.model_dump() for name, item in queries.evidence(db, version).items()}
    if previous is not None:
        known = document.cited_in(documents.content(db, previous.document)) | known
    for finding in findings:
        for sha256 in finding.evidence:
            if sha256 not in known:
                raise UncitedEvidence(
                    f"item {finding.item} cites what is not kept for this version",
                    expected=f"a hash of GET /v1/versions/{version.id}/evidence",
                    got=sha256,
                    action="POST /v1/evidence first",
                )
    return known


def _conditions(db: Session, opinion: Opinion, open_items: Sequence[rules.Finding]) -> list[OpinionCondition]:
    made = []
    for one in open_items:
        try:
            participants.participant(db, one.owner)
        except participants.NoSuchParticipant as error:
            raise UnknownOwner(f"item {one.item} names an unknown owner", got=one.owner) from error
        assert one.due is not None
        made.append(
            OpinionCondition(
                id=new_id("cnd"),
                opinion_id=opinion.id,
                item=one.item,
                condition=one.condition,
                owner=one.owner,
                due_at=one.due,
            )
        )
    return made


def _advance(
    db: Session, actor: Actor, opinion: Opinion, version: Version, signature: signatures.Signature, now: datetime
) -> None:
    cited = document.cited_in(documents.content(db, opinion.document))
    evidence = [EvidenceItem(kind=document.KIND, sha256=opinion.document, title=opinion.number)]
    evidence += [EvidenceItem(**cited[name]) for name in sorted(cited)]
    passport.advance(
        db,
        actor,
        version,
        Stage.ASSESSED,
        now,
        signature=signature,
        document=opinion.document,
        evidence=evidence,
        outcome=opinion.outcome,
    )
