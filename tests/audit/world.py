"""A log of one contract and one use, made with real parts, for the tests of export and verifier."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlmodel import Session, SQLModel

from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.audit.export import Scope, export
from marketplace.audit.models import DocumentSignature
from marketplace.audit.service import integrate
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json, sha256_hex
from marketplace.kernel.clock import timestamp
from marketplace.kernel.signing import SigningKey, generate_key
from marketplace.plumbing.db import Database
from marketplace.settings import Settings
from tests.audit.hatched import HatchedProcesses

NOW = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)
ROOT = "ab" * 32
AUDITOR = Actor("prt_auditor", frozenset({"auditor"}))
BUYER = Actor("prt_pharma", frozenset({"buyer"}))
PROVIDER = Actor("prt_hospital", frozenset({"provider"}))
OPERATOR = Actor("prt_operator", frozenset({"platform_operator"}))
# Who signs in the story, and as what each was admitted.
ROLES = {"prt_hospital": "provider", "prt_pharma": "buyer", "prt_law": "law_firm", "prt_registrar": "registrar"}
PURPOSE = {"purpose": "model_training", "action": "use"}
USES = {
    "permission": [
        {
            "action": "use",
            "constraint": [
                {"leftOperand": "purpose", "operator": "isAnyOf", "rightOperand": ["model_training", "statistics"]},
                {"leftOperand": "recipient", "operator": "eq", "rightOperand": "prt_pharma"},
            ],
        }
    ],
    "prohibition": [{"action": "distribute"}],
}


@dataclass
class Log:
    """A database with its signer and witness."""

    settings: Settings
    database: Database
    processes: HatchedProcesses
    keys: dict[str, SigningKey] = field(default_factory=dict)

    def write(self, count: int, actor: Actor = BUYER) -> list[str]:
        with self.database.transaction() as db:
            return [record(db, actor, Tag.ASSET_REGISTERED, NOW, facts={"n": i}) for i in range(count)]

    def round(self) -> int:
        return integrate(self.database, self.processes.client, NOW).checkpoint

    def bundle(self, actor: Actor = AUDITOR, **scope: object) -> Json:
        with self.database.transaction() as db:
            return export(db, actor, Scope(**scope), NOW, keys=self.processes.client.keys)


def open_database(path: Path) -> Database:
    database = Database(f"sqlite:///{path}")
    tables = [table for name, table in SQLModel.metadata.tables.items() if name.startswith(("entry", "doc", "log_"))]
    SQLModel.metadata.create_all(database.engine, tables=tables)
    return database


@contextmanager
def open_log(folder: Path) -> Iterator[Log]:
    settings = Settings(data_folder=folder)
    database = open_database(folder / "market.sqlite3")
    try:
        with HatchedProcesses(settings) as processes:
            yield Log(settings, database, processes)
    finally:
        database.dispose()


def sign(db: Session, sha256: str, signer: str, key: SigningKey, typ: str) -> None:
    jws = key.sign_detached(documents.get(db, sha256).body, typ=typ)
    facts = {"document": sha256, "kind": documents.get(db, sha256).kind, "signer": signer, "kid": key.kid}
    facts |= {"jws_sha256": sha256_hex(jws.encode())}
    row = DocumentSignature(
        document=sha256, signer=signer, kid=key.kid, alg=key.algorithm, typ=typ, jws=jws, jwk=key.public_jwk,
        signed_at=NOW, entry=record(db, Actor(signer, frozenset()), Tag.SIGNATURE_ACCEPTED, NOW, facts=facts),
    )  # fmt: skip
    db.add(row)
    db.flush()


def tell_story(
    log: Log,
    *,
    certificate_root: str = ROOT,
    buyer_signs: bool = True,
    signed_by: dict[str, str] | None = None,
    roles: dict[str, str] | None = None,
    agreement_id: str = "agr_1",
    delivery: Json | None = None,
) -> str:
    """A certified asset, a contract of both parties, one use of ten bytes in two windows, charged.

    signed_by: kind of document -> who signs it instead; roles: participant -> what it is admitted as instead;
    agreement_id: what the agreement's document calls itself; delivery: further members of the delivery manifest.
    Returns the id of the entry that allowed the use; the signers' keys are in `log.keys`.
    """
    by = {"opinion": "prt_law", "certificate": "prt_registrar", "delivery-manifest": "service"} | (signed_by or {})
    parties = {"prt_hospital": generate_key(), "prt_pharma": generate_key("ES256")}
    parties |= {"prt_law": generate_key(), "prt_registrar": generate_key(), "service": generate_key()}
    log.keys.update(parties)
    about = {"asset": "ast_1", "agreement": "agr_1"}
    with log.database.transaction() as db:
        for signer, key in parties.items():
            if signer in ROLES:
                facts: Json = {"participant": signer, "roles": [(ROLES | (roles or {}))[signer]]}
                record(db, OPERATOR, Tag.PARTICIPANT_ADMITTED, NOW, facts=facts)
            facts = {"participant": signer, "kid": key.kid, "alg": key.algorithm, "jwk": key.public_jwk}
            record(db, OPERATOR, Tag.KEY_REGISTERED, NOW, facts=facts)
        opinion = documents.keep(db, "opinion", {"version_root": ROOT, "firm": {"id": "prt_law"}, "结论": "PASS"}, NOW)
        sign(db, opinion, by["opinion"], parties[by["opinion"]], "opinion+jws")
        issued = {"version_root": certificate_root, "registrar": {"id": "prt_registrar"}}
        certificate = documents.keep(db, "certificate", issued, NOW)
        sign(db, certificate, by["certificate"], parties[by["certificate"]], "certificate+jws")
        content = {
            "id": agreement_id,
            "parties": {"provider": {"id": "prt_hospital"}, "buyer": {"id": "prt_pharma"}},
            "asset": {"id": "ast_1", "version": "ver_1", "version_root": ROOT},
            "certificate": {"code": "SJ1", "sha256": certificate},
            "opinion": {"sha256": opinion},
            "uses": USES,
            "starts_at": timestamp(NOW - timedelta(days=1)),
            "ends_at": timestamp(NOW + timedelta(days=1)),
        }
        readers = ["prt_hospital", "prt_pharma"]
        agreement = documents.keep(db, "agreement", content, NOW, readers=readers)
        sign(db, agreement, "prt_hospital", parties["prt_hospital"], "agreement+jws")
        if buyer_signs:
            sign(db, agreement, "prt_pharma", parties["prt_pharma"], "agreement+jws")
        record(db, BUYER, Tag.AGREEMENT_FINALIZED, NOW, **about, facts={"document": agreement})
        served: Json = {"agreement": "agr_1", "version_root": ROOT} | (delivery or {})
        manifest = documents.keep(db, "delivery-manifest", served, NOW, readers=readers)
        sign(db, manifest, by["delivery-manifest"], parties[by["delivery-manifest"]], "delivery-manifest+jws")
        use = {"transfer": "trf_1", "leg": 1}
        facts = use | {"manifest": manifest, "bytes": 10, "from": 0, "to": 10, **PURPOSE}
        allowed = record(db, BUYER, Tag.USE_ALLOWED, NOW, **about, facts=facts)
        for offset, length, running in ((0, 6, "aa" * 32), (6, 4, "bb" * 32)):
            facts = use | {"offset": offset, "length": length, "running_sha256": running}
            record(db, BUYER, Tag.WINDOW_SERVED, NOW, agreement="agr_1", facts=facts)
        facts = use | {"outcome": "complete", "from": 0, "bytes": 10, "sha256": "bb" * 32}
        record(db, BUYER, Tag.TRANSFER_CLOSED, NOW, **about, facts=facts)
        facts = {"kind": "use.transfer", "quantity": 1, "key": "use.transfer:trf_1"}
        record(db, BUYER, Tag.COST_METERED, NOW, **about, facts=facts)
        return allowed


def second_spelling(line: str) -> str:
    """A line whose base64 is the same octets in other characters: its last one has bits that no octet takes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    plain = line.rstrip("=")
    assert plain != line
    return plain[:-1] + alphabet[alphabet.index(plain[-1]) | 1] + line[len(plain) :]
