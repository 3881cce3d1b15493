"""What an offer rests on: a governed version, a valid opinion and certificate for its very root, a live right."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets.models import Version
from marketplace.assets.stages import STAGES, Stage
from marketplace.audit import documents
from marketplace.exchange import queries
from marketplace.exchange.models import Listing
from marketplace.kernel.errors import Conflict
from marketplace.legal.models import Opinion
from marketplace.legal.queries import valid_opinion
from marketplace.participants import queries as participants
from marketplace.registration.models import Certificate
from marketplace.registration.queries import holders, valid_certificate
from marketplace.registration.rules import RightKind


class RawNotOffered(Conflict):
    """Raw versions are never offered."""


class NotOfferable(Conflict):
    """The version is in no stage in which it may be offered."""


class NoValidOpinion(Conflict):
    """No legal opinion is valid for this version now."""


class NoValidCertificate(Conflict):
    """No certificate is valid for this version now."""


class NoOperatingRight(Conflict):
    """The provider holds no live operating right."""


class ProviderSuspended(Conflict):
    """The provider is suspended."""


class ProofsChanged(Conflict):
    """The opinion or certificate is another one than when the listing was prepared."""


@dataclass(frozen=True)
class Standing:
    """The proofs that hold at one moment."""

    opinion: Opinion
    certificate: Certificate


def require_standing(db: Session, version: Version, provider_id: str, now: datetime) -> Standing:
    """The opinion and certificate a version rests on now.

    Raises RawNotOffered, NotOfferable, NoValidOpinion (gate H15), NoValidCertificate (H9), NoOperatingRight (H8),
    ProviderSuspended (H11).
    """
    if version.kind != "governed":
        raise RawNotOffered(
            "this version holds raw records", expected="governed", got=version.kind, action="offer its governed version"
        )
    if not STAGES.permits(Stage(version.stage), "offer"):
        raise NotOfferable("the version cannot be offered now", expected="certified or listed", got=version.stage)
    opinion = valid_opinion(db, version, now)
    if opinion is None:
        raise NoValidOpinion("the version has no valid opinion", expected=f"for root {version.root}", got="none")
    certificate = valid_certificate(db, version, now)
    if certificate is None:
        raise NoValidCertificate(
            "the version has no valid certificate", expected=f"for root {version.root}", got="none"
        )
    if provider_id not in holders(db, version.asset_id, RightKind.OPERATING, now):
        raise NoOperatingRight("only a holder of the operating right may offer", expected="operating", got=provider_id)
    if participants.participant(db, provider_id).suspended_at is not None:
        raise ProviderSuspended("the provider is suspended from this exchange", got=provider_id)
    return Standing(opinion, certificate)


def require_proofs(db: Session, listing: Listing, now: datetime) -> None:
    """Every proof holds, and is the one that was signed.  Raises ProofsChanged and what `require_standing` raises."""
    version, offer = assets.version(db, listing.version_id), queries.offer(db, listing.offer_id)
    require_same_proofs(db, listing, require_standing(db, version, offer.provider_id, now))


def require_same_proofs(db: Session, listing: Listing, standing: Standing) -> None:
    """The prepared document names these very proofs.  Raises ProofsChanged."""
    assert listing.document is not None
    signed = documents.content(db, listing.document)
    expected = f"{signed['opinion']['sha256']} and {signed['certificate']['sha256']}"
    got = f"{standing.opinion.document} and {standing.certificate.document}"
    if expected != got:
        raise ProofsChanged(
            "opinion or certificate was replaced since the document was prepared",
            expected=expected,
            got=got,
            action="withdraw it and list the offer anew, or prepare the document again before it is signed",
        )
