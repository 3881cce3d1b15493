"""An instance that does not run, for the tests of recovery and of new keys."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from marketplace.audit import documents, handover, recover, succession
from marketplace.audit.entry import Tag, record
from marketplace.audit.models import DocumentSignature
from marketplace.audit.statements import (
    OperatorSignature,
    Recovery,
    StatementFile,
)
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.kernel.signing import SigningKey, generate_key
from marketplace.plumbing.db import Database
from marketplace.settings import Settings
from tests.audit.hatched import HatchedProcesses
from tests.audit.world import NOW, OPERATOR, Log, open_database, open_log, sign

ORIGIN = "marketplace.example/log"
KEY: SigningKey = generate_key()


@dataclass
class Stopped:
    """An instance that does not run: its folder and database."""

    settings: Settings
    database: Database

    @property
    def witness(self) -> Path:
        return self.settings.data_folder / "witness"

    @property
    def signer(self) -> Path:
        return self.settings.data_folder / "log-signer"

    def effective(self) -> Settings:
        return succession.effective(self.settings, self.database)

    def prepare(self, checkpoint: str = "") -> Recovery:
        with self.database.reading() as db:
            return recover.prepare(db, self.effective(), NOW, checkpoint=checkpoint)

    def apply(self, file: StatementFile, actor: Actor = OPERATOR) -> str | None:
        with self.database.transaction() as db:
            document = documents.keep(db, file.statement.type, json.loads(file.body), NOW)
            if db.get(DocumentSignature, (document, "prt_operator")) is None:
                facts = {"participant": "prt_operator", "kid": KEY.kid, "alg": KEY.algorithm, "jwk": KEY.public_jwk}
                record(db, OPERATOR, Tag.KEY_REGISTERED, NOW, facts=facts)
                sign(db, document, "prt_operator", KEY, "log-recovery+jws")
            entry = recover.continue_under(db, actor, file, self.effective(), NOW)
        handover.adopt_recovery(self.signer, file, file.recovery.witness)
        return entry

    def recover(self) -> StatementFile:
        file = handover.cosign_recovery(self.witness, signed(self.prepare()), NOW)
        self.apply(file)
        return file


def admit(log: Log, key: SigningKey, role: str = "platform_operator") -> None:
    """The operator's admission and key, as entries."""
    with log.database.transaction() as db:
        record(db, OPERATOR, Tag.PARTICIPANT_ADMITTED, NOW, facts={"participant": "prt_operator", "roles": [role]})
        facts: Json = {"participant": "prt_operator", "kid": key.kid, "alg": key.algorithm, "jwk": key.public_jwk}
        record(db, OPERATOR, Tag.KEY_REGISTERED, NOW, facts=facts)


@contextmanager
def opened(folder: Path) -> Iterator[Log]:
    """As `open_log`, under the origin that the log goes on with."""
    settings, database = Settings(data_folder=folder), open_database(folder / "market.sqlite3")
    try:
        settings = succession.effective(settings, database)
        with HatchedProcesses(settings) as processes:
            yield Log(settings, database, processes)
    finally:
        database.dispose()


def signed(said: Recovery, key: SigningKey = KEY) -> StatementFile:
    jws = key.sign_detached(said.body, typ="log-recovery+jws")
    return StatementFile(said.body, OperatorSignature(participant="prt_operator", jwk=key.public_jwk, jws=jws))


@contextmanager
def restored_copy(tmp_path: Path) -> Iterator[Stopped]:
    """310 leaves were cosigned and 300 were restored."""
    folder = tmp_path / "log"
    with open_log(folder) as log:
        admit(log, KEY)
        log.write(298)
        log.round()
        log.database.dispose()
        shutil.copy(folder / "market.sqlite3", tmp_path / "backup.sqlite3")
        log.write(10)
        assert log.round() == 310
    for leftover in folder.glob("market.sqlite3*"):
        leftover.unlink()
    shutil.copy(tmp_path / "backup.sqlite3", folder / "market.sqlite3")
    database = open_database(folder / "market.sqlite3")
    yield Stopped(Settings(data_folder=folder), database)
    database.dispose()
