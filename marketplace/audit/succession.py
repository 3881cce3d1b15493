"""Under which origin and with which keys the log goes on: what the settings say, and the statements made since."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import inspect
from sqlmodel import Session, col, func, select

from marketplace.audit import documents, lineage, queries
from marketplace.audit.client import FormerKey, LogKeys, public_keys
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import LogStatement
from marketplace.audit.note import SIGNATURE, BadNote, VerifierKey, open_checkpoint
from marketplace.audit.statements import (
    BadStatement,
    Recovery,
    Rotation,
    StatementFile,
    base_origin,
    read_statement,
    under_origin,
)
from marketplace.audit.tiles import StoredTree
from marketplace.kernel.actor import SERVICE_ACTOR
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.kernel.errors import Conflict
from marketplace.plumbing.db import Database
from marketplace.plumbing.sqlite import despite_broken_text
from marketplace.settings import Settings


class NotTheKey(Conflict):
    """The statement does not replace the key that is in use."""


def effective(settings: Settings, database: Database) -> Settings:
    """The settings with the origin that the log goes on under: the setting, or what the latest recovery made of it."""
    with database.reading() as db:
        if not inspect(db.connection()).has_table(LogStatement.__tablename__):
            return settings
        # One that does not count makes the guard refuse and `fsck` name it, so it may be read here unjudged.
        stored = despite_broken_text(db, lambda: lineage.stored(db))
        made = [one.said.new_origin for one in stored if isinstance(one.said, Recovery)]
    same = [one for one in made if base_origin(one) == base_origin(settings.log_origin)]
    return settings.model_copy(update={"log_origin": same[-1]}) if same else settings


def statements(db: Session) -> list[tuple[LogStatement, Recovery | Rotation]]:
    """Every statement about the log in the order in which they took effect."""
    rows = db.exec(select(LogStatement).order_by(col(LogStatement.number))).all()
    return [(row, read_statement(documents.get(db, row.document).body)) for row in rows]


def known_keys(db: Session, settings: Settings) -> LogKeys:
    """The keys of today with those of the past.  Raises LogSilent when today's are not known yet."""
    keys = public_keys(settings)
    return despite_broken_text(db, lambda: with_former(db, keys))


def with_former(db: Session, keys: LogKeys) -> LogKeys:
    """Today's keys together with those of the past that a chain of signatures leads to (`lineage.judged`)."""
    former: list[FormerKey] = []
    for one in lineage.judged(db, keys):
        match one:
            case lineage.Stored(row=LogStatement() as row, said=Recovery() as said, doubt=""):
                line, until = said.log_old, said.kept.size
            case lineage.Stored(row=LogStatement() as row, said=Rotation() as said, doubt=""):
                line, until = said.old, said.head.size
            case _:
                continue
        former.append(FormerKey(VerifierKey.parse(line), until, row.at, row.document))
    return LogKeys(keys.origin, keys.log, keys.witness, tuple(former))


def as_bundle(db: Session) -> list[Json]:
    """The statements as a bundle carries them: exact text, signed note, the operator's signature where there is one."""
    return [
        {
            "body": documents.get(db, row.document).body.decode(),
            "note": row.note,
            "signatures": [
                {name: getattr(one, name) for name in ("signer", "kid", "alg", "typ", "jws", "jwk")}
                for one in documents.signatures(db, row.document)
            ],
        }
        for row, _ in statements(db)
    ]


def accept_rotation(db: Session, file: StatementFile, origin: str, now: datetime) -> str | None:
    """Take note of a new key of log or witness; returns the entry's id, None when it was known already.

    origin: under which the log goes on.  Raises BadStatement, NotTheKey.  Records: audit:key_rotated.
    """
    rotation = file.rotation
    file.check_note(rotation.old, rotation.new)
    if any(row.document == rotation.sha256 for row, _ in statements(db)):
        return None

    _require_current(db, rotation, origin)

    keep(db, file, now)

    facts: Json = {
        "role": rotation.role,
        "old": VerifierKey.parse(rotation.old).key_id.hex(),
        "new": VerifierKey.parse(rotation.new).key_id.hex(),
        "from": rotation.head.size,
        "reason": rotation.reason,
        "statement": rotation.sha256,
    }
    return record(db, SERVICE_ACTOR, Tag.KEY_ROTATED, now, facts=facts)


def keep(db: Session, file: StatementFile, now: datetime) -> str:
    """Keep a statement as a document that everybody may read, and in its order; returns the document's hash."""
    said = file.statement
    name = documents.keep(db, said.type, read_strictly(file.body), now)
    last = db.exec(select(func.max(LogStatement.number))).one() or 0
    db.add(LogStatement(number=last + 1, kind=said.type, document=name, note=file.note, at=now))
    db.flush()
    return name


def _require_current(db: Session, rotation: Rotation, origin: str) -> None:
    """Raises unless the old key is in use and the statement is about this log."""
    old = VerifierKey.parse(rotation.old)
    if rotation.origin != origin or old.kind != VerifierKey.parse(rotation.new).kind:
        raise BadStatement("a rotation in another log", expected=origin, got=rotation.origin)
    if (old.kind == SIGNATURE) != (rotation.role == "log"):
        raise BadStatement("the keys are not of the role that the statement names", got=rotation.role)
    tree = StoredTree(db)
    if rotation.head.size <= tree.size and tree.root(rotation.head.size) != rotation.head.head.root:
        raise BadStatement("the key was replaced in another history", expected=tree.root(rotation.head.size).hex())
    present = _last_known(db, rotation.role, origin)
    if present is not None and present.public != old.public:
        raise NotTheKey("another key is in use", expected=str(present), got=rotation.old)
    latest = queries.latest_checkpoint(db)
    if present is None and latest is not None:
        try:
            open_checkpoint(latest.note, old)
        except BadNote as error:
            raise NotTheKey("this key did not sign the latest checkpoint", got=rotation.old) from error


def _last_known(db: Session, role: str, origin: str) -> VerifierKey | None:
    """The key that the last statement about a role names; None when there is none."""
    found: str | None = None
    for _, said in statements(db):
        if isinstance(said, Rotation) and said.role == role:
            found = said.new
        elif isinstance(said, Recovery) and role == "log":
            found = said.log_new
    return VerifierKey.parse(under_origin(found, origin)) if found else None
