"""The exchange operator forces a listing off: it leaves the catalogue, and every use that came from it stops."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from marketplace.exchange import queries
from marketplace.exchange.models import Listing
from marketplace.exchange.rules import LISTING, ListingState
from marketplace.exchange.schemas import ReasonIn
from marketplace.exchange.service import change
from marketplace.exchange.standing import require_proofs
from marketplace.kernel.actor import Actor
from marketplace.kernel.errors import Conflict
from marketplace.plumbing import epochs
from marketplace.plumbing.epochs import Stop


def force_off(db: Session, actor: Actor, listing: Listing, why: ReasonIn, now: datetime) -> Listing:
    """Hide a listing and stop the uses of all agreements made under it; a second time changes nothing.

    A withdrawn listing can be forced off too, since its agreements go on.  To hide a listing and let its agreements
    go on, suspend it.  Raises WrongState, NotYourStep.  Records: exchange:listing_forced_off.
    """
    queries.lock(db, listing)

    if listing.state == ListingState.FORCED_OFF:
        return listing
    step = LISTING.step(ListingState(listing.state), ListingState.FORCED_OFF, actor.roles)

    listing.state_before = listing.state
    entry = change(db, actor, listing, step, now, why)
    epochs.stop(db, (listing.id,), Stop.LISTING_FORCED_OFF, actor, entry, now)
    return listing


def reinstate(db: Session, actor: Actor, listing: Listing, why: ReasonIn, now: datetime) -> Listing:
    """Undo a forcing off: uses may begin again and the listing is what it was.

    One whose proofs changed meanwhile comes back suspended, so that the catalogue shows nothing stale.
    Raises WrongState, NotYourStep.  Records: exchange:listing_reinstated.
    """
    queries.lock(db, listing)

    target = _target(db, listing, now)
    step = LISTING.step(ListingState(listing.state), target, actor.roles)

    listing.state_before = ""
    change(db, actor, listing, step, now, why)
    return listing


def _target(db: Session, listing: Listing, now: datetime) -> ListingState:
    before = ListingState(listing.state_before or ListingState.LISTED)
    if before != ListingState.LISTED or listing.state != ListingState.FORCED_OFF:
        return before
    try:
        require_proofs(db, listing, now)
    except Conflict:
        return ListingState.SUSPENDED
    return before
