"""Reading what a decision rests on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import BindParameter, bindparam
from sqlmodel import Session, col, func, select

from marketplace.assets.models import Version
from marketplace.audit import documents
from marketplace.audit.models import Document, DocumentSignature, Entry
from marketplace.exchange.queries import listing
from marketplace.exchange.rules import ListingState
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.legal.models import Opinion
from marketplace.legal.queries import conditions, valid_opinion
from marketplace.negotiation.models import Agreement
from marketplace.negotiation.queries import agreement as agreement_of
from marketplace.negotiation.succession import queries as succession
from marketplace.negotiation.succession.queries import amended
from marketplace.plumbing.db import rows_of
from marketplace.plumbing.epochs import Epoch, Stop, reason_of
from marketplace.plumbing.epochs import hold as hold_epochs
from marketplace.plumbing.questions import Question, alone
from marketplace.plumbing.snapshots import once_per_snapshot, remember
from marketplace.registration.queries import valid_certificate
from marketplace.usage import obligations
from marketplace.usage.facts import Part, compile_uses, judged
from marketplace.usage.models import UsageQuota
from marketplace.usage.rules import EPOCH_CHANGED, EXPIRED

# Made once: to make them for each batch of decisions costs more than to run them.
_LATEST = Question(select(func.max(Entry.at)), alone)
_EPOCHS = select(Epoch.subject, Epoch.number).where(col(Epoch.subject).in_(bindparam("subjects", expanding=True)))
_AGREEMENTS = select(Agreement).where(col(Agreement.id).in_(bindparam("agreements", expanding=True)))
_TAKEN = select(
    UsageQuota.agreement_id,
    col(UsageQuota.uses_reserved) + col(UsageQuota.uses_settled),
    col(UsageQuota.bytes_reserved) + col(UsageQuota.bytes_settled),
).where(col(UsageQuota.agreement_id).in_(bindparam("agreements", expanding=True)))
_NAMED: BindParameter[str] = bindparam("documents", expanding=True)
_BODIES = select(Document.sha256, Document.body).where(col(Document.sha256).in_(_NAMED))
_SIGNERS = select(DocumentSignature.document, DocumentSignature.signer).where(
    col(DocumentSignature.document).in_(_NAMED)
)


class _Terms(NamedTuple):
    """signed: whether they are those of the signed document; leaves: as `asked_to_leave` says it."""

    signed: bool
    uses: Part
    leaves: tuple[str, int]


class Taken(NamedTuple):
    """Uses and bytes that are reserved or settled."""

    uses: int
    bytes: int


@once_per_snapshot
def taken(db: Session, agreement_id: str) -> Taken:
    """What is used up; nothing yet when the agreement has no row."""
    return _taken(db, [agreement_id]).get(agreement_id, Taken(0, 0))


def _taken(db: Session, agreement_ids: Collection[str]) -> dict[str, Taken]:
    found = rows_of(db, _TAKEN, agreements=list(agreement_ids))
    return {name: Taken(uses, volume) for name, uses, volume in found}


def quotas(db: Session, agreement_ids: Collection[str]) -> dict[str, UsageQuota]:
    """Agreement -> its counters, of those that have any."""
    rows = select(UsageQuota).where(col(UsageQuota.agreement_id).in_(set(agreement_ids)))
    return {one.agreement_id: one for one in db.exec(rows)}


def carried(db: Session, agreement_id: str) -> tuple[int, int]:
    """Uses and bytes that count under an agreement because they were taken under those that it amended.

    What such a one still holds reserved counts as taken until it is settled.
    """
    earlier = [taken(db, name) for name in amended(db, agreement_id)]
    return sum(one.uses for one in earlier), sum(one.bytes for one in earlier)


def final_at(db: Session, agreement: Agreement) -> datetime | None:
    """When an agreement, or the first one that it amended, became final: elapsed time is not begun anew."""
    line = [agreement, *(db.get_one(Agreement, name) for name in amended(db, agreement.id))]
    return min((one.finalized_at for one in line if one.finalized_at is not None), default=None)


def epoch(db: Session, subjects: Sequence[str], *, hold: bool = False) -> int:
    """The sum of the epochs of several subjects.

    hold: keep them from being bumped until this transaction ends.
    """
    if hold:
        hold_epochs(db)
    return _epoch(db, tuple(subjects))


@once_per_snapshot
def _epoch(db: Session, subjects: tuple[str, ...]) -> int:
    return sum(epochs(db, subjects).values())


def read_ahead(db: Session, agreement_ids: Collection[str]) -> None:
    """Read what uses of several agreements rest on, one statement for each table; inside `snapshot` only."""
    wanted = sorted(set(agreement_ids))
    found = db.exec(_AGREEMENTS, params={"agreements": wanted}).all()
    subjects = {one.id: subjects_of(one) for one in found}
    read_epochs(db, subjects.values())
    succession.read_ahead(db, [one.id for one in found])
    quotas = _taken(db, wanted)
    names = [one.document for one in found]
    bodies: dict[str, bytes] = dict(rows_of(db, _BODIES, documents=names))
    signed: dict[str, list[str]] = {}
    for document, signer in rows_of(db, _SIGNERS, documents=names):
        signed.setdefault(document, []).append(signer)
    for one in found:
        remember(db, agreement_of, one, one.id)
        remember(db, taken, quotas.get(one.id, Taken(0, 0)), one.id)
        remember(db, signers, sorted(signed.get(one.document, [])), one)
        remember(db, _body, bodies.get(one.document), one.document)


def read_epochs(db: Session, several: Collection[tuple[str, ...]]) -> None:
    """Read the epochs of several sets of subjects in one statement; inside `snapshot` only."""
    numbers = epochs(db, {name for subjects in several for name in subjects})
    for subjects in several:
        remember(db, _epoch, sum(numbers.get(name, 0) for name in set(subjects)), subjects)


def subjects_of(agreement: Agreement) -> tuple[str, ...]:
    """The ids whose revocation ends uses of an agreement."""
    return (
        agreement.id,
        agreement.version_id,
        agreement.certificate_code,
        agreement.opinion_id,
        agreement.listing_id,
        agreement.buyer_id,
        agreement.provider_id,
    )


def epochs(db: Session, subjects: Collection[str]) -> dict[str, int]:
    """The epoch of each subject that has one."""
    if not subjects:
        return {}
    return dict(rows_of(db, _EPOCHS, subjects=list(subjects)))


def stop_reason(db: Session, subjects: Sequence[str]) -> str:
    """Why a use of these subjects, whose epoch has changed, was stopped."""
    return reason_of(db, subjects) or EPOCH_CHANGED


def lapse_reason(db: Session, agreement_id: str, stops_at: int, now: datetime) -> str:
    """Why a use that lapses by itself ended at a Unix second: what a later request is refused with."""
    found = db.get_one(Agreement, agreement_id)
    moment = max(now, datetime.fromtimestamp(stops_at + 1, UTC))  # windows end with the whole second
    version = db.get_one(Version, found.version_id)
    if found.ends_at <= moment:
        return EXPIRED
    if valid_certificate(db, version, moment) is None:
        return Stop.CERTIFICATE_NOT_VALID
    return EXPIRED if valid_opinion(db, version, moment) else Stop.OPINION_NOT_VALID


@once_per_snapshot
def latest_entry(db: Session) -> datetime | None:
    """The latest time of any entry: time never runs behind it."""
    latest: datetime | None = _LATEST.first(db)
    return latest


@once_per_snapshot
def signers(db: Session, agreement: Agreement) -> list[str]:
    """Whose signatures lie on the agreement's document."""
    return sorted(one.signer for one in documents.signatures(db, agreement.document))


def terms_signed(db: Session, agreement: Agreement) -> bool:
    """Whether the uses and the prices on record are those inside the signed document."""
    return _terms(db, agreement).signed


def signed_price_plan(db: Session, agreement: Agreement) -> Json:
    """The prices that both parties signed, whatever the agreement's row says now."""
    plan: Json = _signed(db, agreement)["price_plan"]
    return plan


def listing_stands(db: Session, agreement: Agreement) -> bool:
    """Whether the exchange has not forced off the listing that an agreement was made under."""
    return listing(db, agreement.listing_id).state != ListingState.FORCED_OFF


def open_conditions(db: Session, opinion: Opinion) -> list[datetime]:
    """When the conditions of an opinion that are not met yet fall due."""
    return [one.due_at for one in conditions(db, opinion.id) if one.met_at is None]


def compiled_uses(db: Session, agreement: Agreement) -> Part:
    """The uses on record as facts; those of the signed document where they are the same."""
    return _terms(db, agreement).uses


def asked_to_leave(db: Session, agreement: Agreement) -> tuple[str, int]:
    """What is to leave under the uses on record, and the persons of its smallest group, as `obligations` says it."""
    return _terms(db, agreement).leaves


def _signed(db: Session, agreement: Agreement) -> Json:
    body = _body(db, agreement.document)
    return _content(body) if body is not None else {}


@once_per_snapshot
def _terms(db: Session, agreement: Agreement) -> _Terms:
    body = _body(db, agreement.document)
    signed = _content(body) if body is not None else {}
    if body and signed.get("uses") == agreement.uses and signed.get("price_plan") == agreement.price_plan:
        return _signed_terms(body)
    return _read(agreement.uses, signed=False)


@once_per_snapshot
def _body(db: Session, document: str) -> bytes | None:
    return db.exec(select(Document.body).where(Document.sha256 == document)).first()


# A contract is used often and never changes: the same bytes are read and compiled once.
@lru_cache(maxsize=512)
def _content(body: bytes) -> Json:
    content = read_strictly(body)
    return content if isinstance(content, dict) else {}


@lru_cache(maxsize=512)
def _signed_terms(body: bytes) -> _Terms:
    return _read(_content(body)["uses"], signed=True)


def _read(policy: Json, *, signed: bool) -> _Terms:
    uses = judged(compile_uses(policy))
    return _Terms(signed, uses, obligations.asked_to_leave(uses.plain))
