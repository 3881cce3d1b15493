"""The verbs of the exchange: make an offer, submit, review, return, prepare, publish, suspend, resume, withdraw."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.accounting.capital import ask_for_impairment
from marketplace.assets import queries as assets
from marketplace.assets import service as passport
from marketplace.assets.models import Asset, Version
from marketplace.assets.schemas import EvidenceItem, SignatureIn
from marketplace.assets.stages import Stage
from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.audit.words import keep_why
from marketplace.exchange import exclusivity, queries
from marketplace.exchange.document import listing_document
from marketplace.exchange.fitness import fitting_uses, require_known
from marketplace.exchange.indexing import index_listing
from marketplace.exchange.leaving import require_deliverable
from marketplace.exchange.models import Listing, Offer, OfferBuyer
from marketplace.exchange.rules import DELISTED_FROM, LISTING, ListingState
from marketplace.exchange.schemas import OfferIn, ReasonIn, SubmissionIn
from marketplace.exchange.standing import Standing, require_proofs, require_same_proofs, require_standing
from marketplace.exchange.templates import template
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import Conflict, Invalid
from marketplace.kernel.ids import new_id
from marketplace.kernel.transitions import Step
from marketplace.participants import queries as participants
from marketplace.participants.signatures import Signature, accept


class WhichExchange(Invalid):
    """It is not clear at which exchange this is to be listed."""


class ForcedOff(Conflict):
    """The exchange forced this listing off."""


class NotTheListing(Conflict):
    """The signature is for another document than the one prepared for this listing."""


def make_offer(db: Session, actor: Actor, version: Version, asked: OfferIn, now: datetime) -> Offer:
    """Say what may be bought of a certified version of the caller's own asset, and for what price.

    Raises UnknownTemplate, BadParameters, UnknownTerm, NotDeliverable, PlanDoesNotFit, ResearchOnly, and what
    `require_standing` raises; SoldExclusively, UnknownParty.  Records: exchange:offer_drafted.
    """
    asset, chosen = assets.asset(db, version.asset_id), template(asked.template)
    buyers = sorted(set(asked.buyers or ()))

    exclusivity.require_open(db, asset.id, now)
    require_known(db, buyers)
    require_standing(db, version, actor.participant, now)
    uses = fitting_uses(
        db,
        version,
        asset,
        chosen,
        parameters=asked.parameters,
        price_plan=asked.price_plan,
        delivery_mode=asked.delivery_mode,
        term_days=asked.term_days,
    )

    offer = Offer(
        id=new_id("off"),
        provider_id=actor.participant,
        asset_id=asset.id,
        version_id=version.id,
        template=chosen.name,
        parameters=asked.parameters,
        uses=uses,
        price_plan=asked.price_plan.model_dump(exclude_none=True),
        delivery_mode=asked.delivery_mode,
        term_days=asked.term_days,
        made_at=now,
    )
    db.add(offer)
    db.flush()
    db.add_all(OfferBuyer(offer_id=offer.id, buyer_id=one) for one in buyers)
    db.flush()

    facts = {"offer": offer.id, "template": offer.template, "price_plan": offer.price_plan, "uses": offer.uses}
    facts |= {"buyers": buyers} if buyers else {}
    record(db, actor, Tag.OFFER_DRAFTED, now, asset=asset.id, version=version.id, facts=facts)
    return offer


def submit(db: Session, actor: Actor, offer: Offer, asked: SubmissionIn, now: datetime) -> Listing:
    """Hand an offer to an exchange for listing; asking again while it lies there changes nothing.

    Raises WhichExchange, WrongState, and what `require_standing` raises.  Records: exchange:listing_submitted.
    """
    listing = queries.held_listing_of(db, offer)
    version = assets.version(db, offer.version_id)

    if listing is not None and listing.state in {ListingState.SUBMITTED, ListingState.IN_REVIEW}:
        return listing
    require_standing(db, version, offer.provider_id, now)
    exclusivity.require_open(db, offer.asset_id, now)
    if listing is None:
        listing = Listing(
            id=new_id("lst"),
            offer_id=offer.id,
            asset_id=offer.asset_id,
            version_id=offer.version_id,
            operator_id=_operator(db, asked),
            state=ListingState.DRAFT,
            submitted_at=now,
        )
    step = _step(actor, listing, ListingState.SUBMITTED)

    listing.submitted_at = now
    return _move(db, actor, listing, step, now)


def review(db: Session, actor: Actor, listing: Listing, now: datetime) -> Listing:
    """Take a submitted listing into review.  Raises WrongState, NotYourStep.  Records: exchange:listing_reviewed."""
    queries.lock(db, listing)

    step = _step(actor, listing, ListingState.IN_REVIEW)

    return _move(db, actor, listing, step, now)


def return_(db: Session, actor: Actor, listing: Listing, why: ReasonIn, now: datetime) -> Listing:
    """Give a listing back to its provider for correction.  Records: exchange:listing_returned."""
    queries.lock(db, listing)

    step = _step(actor, listing, ListingState.RETURNED)

    return _move(db, actor, listing, step, now, why)


def prepare_listing(db: Session, actor: Actor, listing: Listing, now: datetime) -> str:
    """Approve a reviewed listing and write the document the exchange operator is to sign; returns its SHA-256.

    Preparing again replaces the document.  Raises WrongState, NotYourStep, and what `require_standing` raises.
    Records: exchange:listing_approved.
    """
    queries.lock(db, listing)
    offer, asset, version = _parts(db, listing)
    provider = participants.participant(db, offer.provider_id)

    step = _step(actor, listing, ListingState.APPROVED)
    standing = require_standing(db, version, offer.provider_id, now)
    require_deliverable(db, version, offer.uses, offer.delivery_mode)

    prepared = listing_document(listing, offer, asset, version, standing, provider, now)
    listing.document = documents.keep(db, "listing", prepared, now, readers=queries.readers(db, listing, offer))
    _move(db, actor, listing, step, now)
    return listing.document


def publish(db: Session, actor: Actor, listing: Listing, signature: SignatureIn, now: datetime) -> Listing:
    """Make a listing public with the exchange operator's signature over the prepared document.

    The first listing of a version takes its passport to `listed`; sending the same signature again changes nothing.
    Raises NotTheListing, ProofsChanged, WrongState, NotYourStep, BadSignature, UnknownKey, and what
    `require_standing` raises.  Records: exchange:listing_published, asset:stage_reached.
    """
    queries.lock(db, listing)
    offer, asset, version = _parts(db, listing)

    if signature.document != listing.document:
        raise NotTheListing("sign the document prepared last", expected=str(listing.document), got=signature.document)
    if listing.state == ListingState.LISTED:
        accept(db, actor.participant, signature.document, signature.jws, typ="listing+jws", now=now)
        return listing
    step = _step(actor, listing, ListingState.LISTED)
    standing = require_standing(db, version, offer.provider_id, now)
    require_same_proofs(db, listing, standing)
    exclusivity.require_open(db, offer.asset_id, now)
    accepted = accept(db, actor.participant, signature.document, signature.jws, typ="listing+jws", now=now)

    if version.stage == Stage.CERTIFIED:
        _enter_passport(db, actor, version, standing, accepted, signature.document, now)
    listing.listed_at = now
    index_listing(db, listing, offer, asset)
    return _move(db, actor, listing, step, now)


def suspend(db: Session, actor: Actor, listing: Listing, why: ReasonIn, now: datetime) -> Listing:
    """Take a listing out of the catalogue for a time.  Running agreements go on: to stop their uses too, force it
    off (docs/how-to/stop-a-use.md).  Records: exchange:listing_suspended."""
    queries.lock(db, listing)

    step = _step(actor, listing, ListingState.SUSPENDED)

    return _move(db, actor, listing, step, now, why)


def resume(db: Session, actor: Actor, listing: Listing, why: ReasonIn, now: datetime) -> Listing:
    """Put a suspended listing back, if every proof still holds.

    Raises ProofsChanged and what `require_standing` raises.  Records: exchange:listing_resumed.
    """
    queries.lock(db, listing)

    step = _step(actor, listing, ListingState.LISTED)
    require_proofs(db, listing, now)

    return _move(db, actor, listing, step, now, why)


def withdraw(db: Session, actor: Actor, listing: Listing, why: ReasonIn, now: datetime) -> Listing:
    """End a listing for good; running agreements go on.  Records: exchange:listing_withdrawn.

    With the last listing of an asset, a worker writes off what the asset has not recovered.
    """
    queries.lock(db, listing)

    if listing.state == ListingState.WITHDRAWN:
        return listing
    step = _step(actor, listing, ListingState.WITHDRAWN)

    was_public = listing.state in DELISTED_FROM
    entry = change(db, actor, listing, step, now, why)
    if was_public and not queries.public_listings(db, listing.asset_id):
        ask_for_impairment(db, listing.asset_id, entry, now)
    return listing


def _step(actor: Actor, listing: Listing, target: ListingState) -> Step:
    """The row for a move.  What was forced off comes back by reinstatement alone.  Raises ForcedOff."""
    if listing.state == ListingState.FORCED_OFF:
        raise ForcedOff(
            "the exchange forced this listing off", got=listing.id, action="ask the exchange operator to reinstate it"
        )
    return LISTING.step(ListingState(listing.state), target, actor.roles)


def _move(
    db: Session, actor: Actor, listing: Listing, step: Step, now: datetime, why: ReasonIn | None = None
) -> Listing:
    change(db, actor, listing, step, now, why)
    return listing


def change(db: Session, actor: Actor, listing: Listing, step: Step, now: datetime, why: ReasonIn | None = None) -> str:
    """Take a checked step and record it under the step's tag; returns the entry's id."""
    listing.state = step.target
    listing.reason, listing.note = (why.reason, why.note) if why else ("", "")
    db.add(listing)
    db.flush()
    facts = {
        "listing": listing.id,
        "offer": listing.offer_id,
        "from": step.source.value,
        "to": step.target.value,
        "document": listing.document,
        **keep_why(db, listing.reason, listing.note, now, _readers(db, listing)),
    }
    return record(db, actor, Tag(step.tag), now, asset=listing.asset_id, version=listing.version_id, facts=facts)


def _readers(db: Session, listing: Listing) -> tuple[str, str]:
    return queries.offer(db, listing.offer_id).provider_id, listing.operator_id


def _enter_passport(
    db: Session, actor: Actor, version: Version, standing: Standing, signature: Signature, document: str, now: datetime
) -> None:
    evidence = [
        EvidenceItem(kind="certificate", sha256=standing.certificate.document, title=standing.certificate.code),
        EvidenceItem(kind="opinion", sha256=standing.opinion.document, title=standing.opinion.number),
    ]
    passport.advance(
        db,
        actor,
        version,
        Stage.LISTED,
        now,
        signature=signature,
        document=document,
        evidence=evidence,
        outcome="listed",
    )


def _parts(db: Session, listing: Listing) -> tuple[Offer, Asset, Version]:
    offer = queries.offer(db, listing.offer_id)
    return offer, assets.asset(db, listing.asset_id), assets.version(db, listing.version_id)


def _operator(db: Session, asked: SubmissionIn) -> str:
    admitted = [one.id for one in participants.with_role(db, Role.EXCHANGE_OPERATOR)]
    if asked.operator_id is None and len(admitted) == 1:
        return admitted[0]
    if asked.operator_id not in admitted:
        raise WhichExchange(
            "name an admitted exchange operator",
            expected=" or ".join(admitted) or "an admitted exchange operator",
            got=str(asked.operator_id),
        )
    return asked.operator_id
