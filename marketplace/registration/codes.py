"""Giving certificate codes: a registrar's digits, a month's serials, none twice."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from marketplace.participants import queries as participants
from marketplace.registration import queries, rules
from marketplace.registration.models import Application, CertificateSerial, RegistrarSeat

DIGITS = 9


def code_for(db: Session, found: Application, now: datetime) -> str:
    """The code of an application's certificate: the one it has, or the next serial once the month is another."""
    seat = queries.seat(db, found.registrar_id) or _take_seat(db, found.registrar_id)
    prefix = rules.code_prefix(seat.region, seat.digit, now)
    if found.certificate_code is not None and found.certificate_code.startswith(prefix):
        return found.certificate_code
    return rules.code(prefix, next_serial(db, prefix))


def next_serial(db: Session, prefix: str) -> int:
    """The next serial of a prefix; two transactions never get the same.  Raises CodesExhausted."""
    if queries.serial(db, prefix) is None:
        try:
            with db.begin_nested():
                db.add(CertificateSerial(prefix=prefix))
        except IntegrityError:
            pass  # another transaction opened the month first
    # One statement counts and reads, so no other transaction can stand between.
    counted = (
        update(CertificateSerial)
        .where(col(CertificateSerial.prefix) == prefix, col(CertificateSerial.last) < rules.SERIALS)
        .values(last=CertificateSerial.last + 1)
        .returning(col(CertificateSerial.last))
        .execution_options(synchronize_session=False)
    )
    row = db.exec(counted).first()
    if row is None:
        raise rules.CodesExhausted("the month's serials are used up", expected=f"at most {rules.SERIALS}", got=prefix)
    return int(row[0])


def _take_seat(db: Session, registrar_id: str) -> RegistrarSeat:
    """Region: the division digits of its credit code (GB 32100); digit: the next one free there."""
    region = participants.participant(db, registrar_id).credit_code[2:4]
    digit = queries.seats_in(db, region) + 1
    if digit > DIGITS:
        raise rules.CodesExhausted("a region has at most nine registrars", got=region)
    seat = RegistrarSeat(participant_id=registrar_id, region=region, digit=digit)
    db.add(seat)
    db.flush()
    return seat
