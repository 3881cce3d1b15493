"""Whose desk a page shows, and who may read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import Mapped, aliased
from sqlmodel import Session, col, select

from marketplace.assets.models import Asset, Version
from marketplace.exchange.models import Demand, Listing
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound
from marketplace.legal.models import Opinion
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.participants.models import Participant
from marketplace.registration.models import Application, Certificate
from marketplace.settlement.models import Invoice, Share
from marketplace.settlement.payables.queries import every
from marketplace.settlement.queries import NoSuchInvoice, invoice


class NoSuchDesk(NotFound):
    """No desk that the reader may see."""


PAGES = {
    "director": ("director_title", {Role.PROVIDER}),
    "sales": ("sales_title", {Role.PROVIDER, Role.EXCHANGE_OPERATOR}),
    "purchases": ("purchases_title", {Role.BUYER}),
    "shares": ("shares_title", set(Role) - {Role.AUDITOR}),
    "payables": ("payables_title", {Role.PROVIDER, Role.LAW_FIRM, Role.REGISTRAR, Role.EXCHANGE_OPERATOR}),
}
"""Page of a desk -> the word of its title, and the roles that have it."""


@dataclass(frozen=True)
class Desk:
    """A participant, and the actor as whom its pages are read: what they show is what it may read itself."""

    owner: Participant
    actor: Actor

    @property
    def id(self) -> str:
        return self.owner.id


def open_desk(db: Session, reader: Actor, participant: str, page: str = "") -> Desk:
    """The desk of a participant, for itself, for auditors, and for everybody where all it deals with is invented.

    page: the one that is asked for, of PAGES; empty: none of them.  Raises NoSuchDesk for anybody else, so that ids
    cannot be probed, and for a page that the participant's roles do not have.
    """
    rows = select(Participant).where(Participant.id == participant)
    own = reader.participant == participant or reader.has(Role.AUDITOR)
    if not own:
        rows = rows.where(*_invented())
    found = db.exec(rows).first()
    if found is None or (page and not PAGES[page][1] & set(found.roles)):
        raise NoSuchDesk("no desk of this participant", got=participant)
    # An auditor reads everything; the page of an auditor shows what is its own.
    made = Desk(found, Actor(found.id, frozenset(found.roles) - {str(Role.AUDITOR)}))
    if page == "payables" and not own and _pays_real(db, made.actor):
        raise NoSuchDesk("no desk of this participant", got=participant)
    return made


def open_desks(db: Session, reader: Actor) -> Sequence[Participant]:
    """Every participant whose desk the reader may see, in order of admission."""
    rows = select(Participant).order_by(col(Participant.admitted_at), col(Participant.id))
    if reader.has(Role.AUDITOR):
        return db.exec(rows).all()
    own = col(Participant.id) == reader.participant
    return db.exec(rows.where(or_(own, and_(*_invented())))).all()


def open_invoice(db: Session, reader: Actor, invoice_id: str) -> Invoice:
    """An invoice for its buyer, its issuer and auditors, and for whoever may see the desk of its buyer.

    Raises NoSuchInvoice, also for one that the reader may not see.
    """
    found = invoice(db, invoice_id)
    if reader.participant not in {found.buyer_id, found.issuer_id} and not reader.has(Role.AUDITOR):
        try:
            open_desk(db, reader, found.buyer_id)
        except NoSuchDesk as hidden:
            raise NoSuchInvoice("no invoice with this id", got=invoice_id) from hidden
    return found


def require_open_demands(db: Session, reader: Actor) -> None:
    """Let members see what is looked for, and everybody where every demand is an invented buyer's.

    Raises NoSuchDesk.
    """
    real = select(Demand.id).join(Participant, col(Participant.id) == col(Demand.buyer_id))
    if not reader.roles and db.exec(real.where(~col(Participant.is_example)).limit(1)).first() is not None:
        raise NoSuchDesk("what buyers look for is for members", action="read it as a participant: GET /v1/demand-board")


def _pays_real(db: Session, actor: Actor) -> bool:
    """Whether a party owes, or is owed by, somebody for stages who is not invented, or for such an asset."""
    found = every(actor).subquery()
    parties, assets = select(Participant.id).where(~col(Participant.is_example)), ~col(Asset.is_example)
    real = or_(found.c.payer_id.in_(parties), found.c.payee_id.in_(parties))
    rows = select(found.c.meter_event).where(or_(real, found.c.asset_id.in_(select(Asset.id).where(assets))))
    return db.execute(rows.limit(1)).first() is not None


def _invented() -> tuple[ColumnElement[bool], ...]:
    """A participant that is an example and has never dealt with anybody or anything that is not."""
    stranger = aliased(Participant)
    real = select(stranger.id).where(~stranger.is_example)  # type: ignore[arg-type]
    real_asset = select(Asset.id).where(~col(Asset.is_example))
    owner = col(Participant.id)

    def dealings(*parties: Mapped[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return or_(*(one == owner for one in parties)), or_(*(one.in_(real) for one in parties))

    asked = dealings(col(AccessRequest.buyer_id), col(AccessRequest.provider_id))
    agreed = dealings(col(Agreement.buyer_id), col(Agreement.provider_id))
    billed = dealings(col(Invoice.buyer_id), col(Invoice.issuer_id))
    shared = dealings(col(Share.provider_id), col(Share.issuer_id), col(Share.owner))
    listed = select(AccessRequest.id).join(Listing, col(Listing.id) == col(AccessRequest.listing_id))
    met = (
        select(Asset.id).where(Asset.provider_id == owner, ~col(Asset.is_example)),
        listed.where(asked[0], or_(asked[1], col(Listing.asset_id).in_(real_asset))),
        select(Agreement.id).where(agreed[0], or_(agreed[1], col(Agreement.asset_id).in_(real_asset))),
        select(Invoice.id).where(*billed),
        *_vouched(owner, real_asset),
        select(Share.line_id).where(shared[0], or_(shared[1], col(Share.asset_id).in_(real_asset))),
    )
    return (col(Participant.is_example).is_(True), *(~one.correlate(Participant).exists() for one in met))


def _vouched(owner: Mapped[str], real_asset: Any) -> tuple[Any, ...]:
    """What a law firm, a registrar or an exchange said of assets that are not invented."""
    assessed = select(Opinion.id).join(Version, col(Version.id) == col(Opinion.version_id))
    return (
        assessed.where(Opinion.firm_id == owner, col(Version.asset_id).in_(real_asset)),
        select(Application.id).where(Application.registrar_id == owner, col(Application.asset_id).in_(real_asset)),
        select(Certificate.code).where(Certificate.registrar_id == owner, col(Certificate.asset_id).in_(real_asset)),
        select(Listing.id).where(Listing.operator_id == owner, col(Listing.asset_id).in_(real_asset)),
    )
