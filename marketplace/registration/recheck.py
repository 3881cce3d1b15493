"""Re-check the counters of certificate codes against the log: the last serial is that of the last code given."""

from __future__ import annotations

from collections.abc import Iterator

from sqlmodel import Session

from marketplace.audit.entry import Tag
from marketplace.audit.recheck import RowFinding, rows, told
from marketplace.registration.models import CertificateSerial

SERIAL_DIGITS = 4


def recheck(db: Session) -> Iterator[RowFinding]:
    """Counters that would give a code twice, leave codes out, or that no code needed."""
    last: dict[str, tuple[int, str]] = {}
    for entry, facts in told(db, Tag.CERTIFICATE_PREPARED):
        code = str(facts.get("code"))
        prefix, serial = code[:-SERIAL_DIGITS], code[-SERIAL_DIGITS:]
        if serial.isdigit():
            last[prefix] = max(last.get(prefix, (0, "")), (int(serial), entry.id))
    for row in rows(db, CertificateSerial):
        if isinstance(row, RowFinding):
            last.pop(row.key, None)
            yield row
            continue
        given, entry_id = last.pop(row.prefix, (0, ""))
        if row.last != given:
            detail = f"the last serial given is {given}, not {row.last}"
            yield RowFinding("certificate_serial", row.prefix, "edited", detail, entry_id or None)
    for prefix, (_, entry_id) in last.items():
        yield RowFinding("certificate_serial", prefix, "deleted", "codes were given and are not counted", entry_id)
