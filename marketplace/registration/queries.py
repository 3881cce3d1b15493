"""Reading applications, objections, certificates and rights."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, bindparam, or_
from sqlmodel import Session, col, func, select

from marketplace.assets.models import Version
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.errors import NotFound
from marketplace.participants import queries as participants
from marketplace.participants.models import Participant
from marketplace.plumbing import paging
from marketplace.plumbing.paging import Order, Paged, PartyList
from marketplace.plumbing.questions import Objects, Question, alone
from marketplace.plumbing.snapshots import once_per_snapshot
from marketplace.registration.models import (
    Application,
    Certificate,
    CertificateSerial,
    Objection,
    RegistrarSeat,
    Right,
)
from marketplace.registration.rules import RUNNING, CertificateState, State, certificate_state

_APPLICATIONS: Final = PartyList(
    Application, col(Application.filed_at), sides=(col(Application.applicant_id), col(Application.registrar_id))
)
_FIRST_TO_END: Final = Order((col(Application.notice_until), col(Application.id)), (col(Application.id),))
_VALID = Objects(
    Certificate,
    select(Certificate)
    .where(
        col(Certificate.version_id) == bindparam("version"),
        col(Certificate.root) == bindparam("root"),
        col(Certificate.state) == CertificateState.VALID,
        col(Certificate.issued_at) <= bindparam("now"),
        col(Certificate.valid_until) > bindparam("now"),
    )
    .order_by(col(Certificate.issued_at).desc())
    .limit(1),
)
_HOLDERS = Question(
    select(Right.holder_id)
    .join(Certificate, col(Certificate.code) == col(Right.certificate_code))
    .where(
        col(Right.asset_id) == bindparam("asset"),
        col(Right.kind) == bindparam("kind"),
        col(Right.starts_at) <= bindparam("now"),
        or_(col(Right.ends_at).is_(None), col(Right.ends_at) > bindparam("now")),
        col(Certificate.state) == CertificateState.VALID,
        col(Certificate.valid_until) > bindparam("now"),
    ),
    alone,
)


class NoSuchApplication(NotFound):
    """No such application."""


class NoSuchObjection(NotFound):
    """No such open objection to this application."""


class NoSuchCertificate(NotFound):
    """No such certificate."""


def application(db: Session, application_id: str) -> Application:
    """One application: for workers and other rooms.  Raises NoSuchApplication."""
    found = db.get(Application, application_id)
    if found is None:
        raise NoSuchApplication("no application with this id", got=application_id)
    return found


def lock(db: Session, found: Application | Certificate) -> None:
    """Read it anew and hold it to the end of the transaction: what was read before may have changed since."""
    db.refresh(found, with_for_update={"key_share": True})


def own_application(db: Session, actor: Actor, application_id: str) -> Application:
    """An application of the caller as applicant or registrar; auditors see all.  Raises NoSuchApplication."""
    found = application(db, application_id)
    if actor.participant not in {found.applicant_id, found.registrar_id} and not actor.has(Role.AUDITOR):
        raise NoSuchApplication("no application with this id", got=application_id)
    return found


def registrar_application(db: Session, actor: Actor, application_id: str) -> Application:
    """An application that lies with the calling registrar.  Raises NoSuchApplication."""
    found = application(db, application_id)
    if actor.participant != found.registrar_id:
        raise NoSuchApplication("no application with this id", got=application_id)
    return found


def noticed_application(db: Session, application_id: str, now: datetime) -> Application:
    """An application under running public notice: anyone signed in may object.  Raises NoSuchApplication."""
    found = db.exec(select(Application).where(Application.id == application_id, *_noticed(now))).first()
    if found is None:
        raise NoSuchApplication("no application with this id is under public notice now", got=application_id)
    return found


def visible_applications(
    db: Session, actor: Actor, *, cursor: str | None = None, limit: int = paging.MOST
) -> Paged[Application]:
    """A page of the applications of the caller as applicant or registrar, of all for auditors, in order of filing.

    Raises NotOnThisList.
    """
    return _APPLICATIONS.page(db, actor, cursor, limit)


def running_application(db: Session, version_id: str) -> Application | None:
    """The application for a version that is not finished."""
    states = [str(state) for state in RUNNING]
    rows = select(Application).where(Application.version_id == version_id, col(Application.state).in_(states))
    return db.exec(rows).first()


def running_notices(
    db: Session, now: datetime, *, cursor: str | None = None, limit: int = paging.MOST
) -> Paged[Application]:
    """A page of the applications whose public notice runs now, the earliest end first.  Raises NotOnThisList."""
    rows = select(Application).where(col(Application.notice_until).is_not(None))
    return _FIRST_TO_END.page(db, rows, cursor, limit, _noticed(now))


def _noticed(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        col(Application.state).in_([str(State.NOTICED), str(State.OBJECTED)]),
        col(Application.notice_from) <= now,
        col(Application.notice_until) > now,
    )


def objections(db: Session, application_id: str) -> Sequence[Objection]:
    """Objections to an application in order."""
    rows = select(Objection).where(Objection.application_id == application_id)
    return db.exec(rows.order_by(col(Objection.raised_at), col(Objection.id))).all()


def open_objection(db: Session, application_id: str, objection_id: str) -> Objection:
    """An objection that waits for a ruling.  Raises NoSuchObjection."""
    found = db.get(Objection, objection_id)
    if found is None or found.application_id != application_id or found.state != "open":
        raise NoSuchObjection("no open objection with this id", got=objection_id)
    return found


def parties(db: Session, found: Application) -> dict[str, Participant]:
    """Everybody an application names, by id."""
    ids = {found.applicant_id, found.registrar_id, *(one["holder"] for one in found.form["rights"])}
    return {one: participants.participant(db, one) for one in sorted(ids)}


def seat(db: Session, registrar_id: str) -> RegistrarSeat | None:
    """The code digits of a registrar, None before its first certificate."""
    return db.get(RegistrarSeat, registrar_id)


def seats_in(db: Session, region: str) -> int:
    """How many registrars have a digit in a region."""
    return db.exec(select(func.count()).select_from(RegistrarSeat).where(RegistrarSeat.region == region)).one()


def serial(db: Session, prefix: str) -> CertificateSerial | None:
    """The counter of a code prefix."""
    return db.get(CertificateSerial, prefix)


def certificate(db: Session, code: str) -> Certificate:
    """One certificate, public.  Raises NoSuchCertificate."""
    found = db.get(Certificate, code)
    if found is None:
        raise NoSuchCertificate("no certificate with this code", got=code[:40])
    return found


def certificates_by_hash(db: Session, sha256: str) -> Sequence[Certificate]:
    """Certificates whose document or whose version root has this hash, in order of issue."""
    rows = select(Certificate).where(or_(col(Certificate.document) == sha256, col(Certificate.root) == sha256))
    return db.exec(rows.order_by(col(Certificate.issued_at), col(Certificate.code))).all()


def certificate_status(found: Certificate, now: datetime) -> CertificateState:
    """valid, suspended, cancelled or lapsed at this moment."""
    return certificate_state(found.state, found.valid_until, now)


@once_per_snapshot
def valid_certificate(db: Session, version: Version, now: datetime) -> Certificate | None:
    """The certificate that a version rests on now, or None (gate H9)."""
    return _VALID.first(db, version=version.id, root=version.root, now=now)


@once_per_snapshot
def certificate_standing(db: Session, version: Version, now: datetime) -> str:
    """`valid` while a version rests on a certificate, else `suspended` or `cancelled` as its latest is, or `none`."""
    if valid_certificate(db, version, now) is not None:
        return str(CertificateState.VALID)
    rows = select(Certificate).where(Certificate.version_id == version.id, Certificate.root == version.root)
    latest = db.exec(rows.order_by(col(Certificate.issued_at).desc(), col(Certificate.code).desc())).first()
    ended = {CertificateState.SUSPENDED, CertificateState.CANCELLED}
    state = certificate_status(latest, now) if latest is not None else None
    return str(state) if state in ended else "none"


def rights(db: Session, code: str) -> Sequence[Right]:
    """The rights a certificate proves."""
    return db.exec(select(Right).where(Right.certificate_code == code).order_by(col(Right.id))).all()


def holders(db: Session, asset_id: str, kind: str, now: datetime) -> set[str]:
    """Participant ids with a live right of a kind on an asset: in its term, under a certificate valid now (H8)."""
    return set(_HOLDERS.rows(db, asset=asset_id, kind=kind, now=now))
