"""Which stored statements about the log count: each is followed backwards from the keys that the settings name.

Whoever holds the database can write a row that says anything; a key of the past is trusted only where a chain of
signatures leads from today's keys to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from marketplace.audit.client import LogKeys
from marketplace.audit.entry import Tag
from marketplace.audit.models import Document, DocumentSignature, LogStatement
from marketplace.audit.note import COSIGNATURE, SIGNATURE, VerifierKey
from marketplace.audit.recheck import Told, told
from marketplace.audit.statements import RECOVERY, BadStatement, Recovery, Rotation, StatementFile, read_statement
from marketplace.kernel.canonical import sha256_hex
from marketplace.kernel.errors import DomainError
from marketplace.kernel.signing import verify_detached


@dataclass(frozen=True)
class Stored:
    """A row of `log_statement`.  said: None when it cannot be read; doubt: why it does not count, else empty."""

    number: int
    row: LogStatement | None
    said: Recovery | Rotation | None
    doubt: str = ""


def stored(db: Session) -> list[Stored]:
    """Every statement in the order in which they took effect, read one by one so that an odd one hides no other."""
    numbers = db.connection().execute(select(LogStatement.number).order_by(col(LogStatement.number))).scalars()
    return [_read(db, number) for number in numbers.all()]


def judged(db: Session, keys: LogKeys) -> list[Stored]:
    """Every statement in order, each with the doubt that keeps it from being believed.

    keys: those of today; only a statement that leads to them, or to one that does, counts.
    """
    found: list[Stored] = []
    chain = _Chain(db, keys)
    for one in reversed(stored(db)):
        try:
            chain.follow(one)
            found.append(one)
        except (DomainError, ValueError, TypeError) as error:
            found.append(Stored(one.number, one.row, one.said, one.doubt or str(error)))
    return found[::-1]


def untold(db: Session) -> list[tuple[str, str]]:
    """(entry id, statement) of recoveries and new keys of log or witness that the log tells of and no row holds."""
    kept = set(db.connection().execute(select(LogStatement.document)).scalars().all())
    return [(entry.id, name) for name, entry in _entries(db).items() if name not in kept]


class _Chain:
    """The keys and the origin that were in use before what was followed so far."""

    def __init__(self, db: Session, keys: LogKeys) -> None:
        self._db = db
        self._present = {SIGNATURE: keys.log.public, COSIGNATURE: keys.witness.public}
        self._origin = keys.origin
        self._entries = _entries(db)

    def follow(self, one: Stored) -> None:
        """Go back past a statement.  Raises BadStatement, BadNote when it does not count."""
        if one.row is None or one.said is None:
            raise BadStatement(one.doubt or "the statement cannot be read")
        file = StatementFile(one.said.body, note=one.row.note)
        if isinstance(one.said, Recovery):
            self._recovery(one.said, file, one.row.document)
        else:
            self._rotation(one.said, file, one.row.document)

    def _rotation(self, said: Rotation, file: StatementFile, document: str) -> None:
        old, new = VerifierKey.parse(said.old), VerifierKey.parse(said.new)
        if old.kind != new.kind or (old.kind == SIGNATURE) != (said.role == "log"):
            raise BadStatement("the keys are not of the role that the statement names")
        if new.public != self._present[new.kind] or said.origin != self._origin:
            raise BadStatement("it does not lead to the keys of today")
        file.check_note(said.old, said.new)
        self._require_entry(document, Tag.KEY_ROTATED)
        self._present[old.kind] = old.public

    def _recovery(self, said: Recovery, file: StatementFile, document: str) -> None:
        old, new, witness = (VerifierKey.parse(one) for one in (said.log_old, said.log_new, said.witness))
        if (new.public, witness.public) != (self._present[SIGNATURE], self._present[COSIGNATURE]):
            raise BadStatement("it does not lead to the keys of today")
        if (old.public, old.kind, witness.kind) != (new.public, SIGNATURE, COSIGNATURE):
            raise BadStatement("a recovery replaces no key")
        if (old.name, new.name) != (said.old_origin, said.new_origin) or said.new_origin != self._origin:
            raise BadStatement("it does not lead to the origin of today")
        file.check_note(said.witness)
        operator = self._require_entry(document, Tag.LOG_RECOVERED)
        _require_operator(self._db, said, document, operator.actor)
        self._origin = said.old_origin

    def _require_entry(self, document: str, tag: Tag) -> Told:
        entry = self._entries.get(document)
        if entry is None or entry.tag != tag.value:
            raise BadStatement(f"no entry {tag.value} tells of it")
        return entry


def _read(db: Session, number: int) -> Stored:
    row: LogStatement | None = None
    try:
        row = db.get_one(LogStatement, number)
        body = db.exec(select(Document.body).where(Document.sha256 == row.document)).first()
        if not isinstance(body, bytes) or sha256_hex(body) != row.document or not isinstance(row.note, str):
            return Stored(number, row, None, "its document or its note is missing or not what it was")
        said = read_statement(body)
        doubt = "" if said.type == row.kind else "its kind is not the one that the statement has"
        return Stored(number, row, None if doubt else said, doubt)
    except (DomainError, ValueError, TypeError) as error:
        return Stored(number, row, None, f"it cannot be read: {error}")


def _entries(db: Session) -> dict[str, Told]:
    """Statement -> the entry that tells of it; those of the service's own key are not about the log."""
    found: dict[str, Told] = {}
    for entry, facts in told(db, Tag.LOG_RECOVERED, Tag.KEY_ROTATED):
        if facts.get("role") != "service":
            found.setdefault(str(facts.get("statement")), entry)
    return found


def _require_operator(db: Session, said: Recovery, document: str, operator: str) -> None:
    """Raises BadStatement unless the operator signed the statement with a key that the log knows as its own."""
    registered = (facts for _, facts in told(db, Tag.KEY_REGISTERED))
    known = [facts.get("jwk") for facts in registered if facts.get("participant") == operator]
    one = db.get(DocumentSignature, (document, operator))
    if one is None or one.jwk not in known:
        raise BadStatement("no operator signed it whose key the log knows", got=operator)
    verify_detached(one.jws, said.body, one.jwk, typ=f"{RECOVERY}+jws")
