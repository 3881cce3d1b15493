"""Signatures on documents, judged by the log: whose key, and recorded before or after its revocation.

"After" is a matter of leaf numbers alone; no time that anybody states counts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from marketplace.audit.verifier import keys
from marketplace.audit.verifier.bundle import Bundle, Document, Signature
from marketplace.audit.verifier.keys import NotSigned
from marketplace.audit.verifier.report import Report
from marketplace.audit.verifier.text import mapping, string

SERVICE = "service"

# (document, key id, SHA-256 of the JWS) -> leaf number of the first entry that recorded it
Recorded = dict[tuple[str, str, str], int]


@dataclass
class Life:
    """What the log says of a key.  owners: whose it is; registered, revoked: leaf numbers; jwk: its public half."""

    owners: set[str] = field(default_factory=set)
    registered: int | None = None
    revoked: int | None = None
    jwk: dict[str, Any] = field(default_factory=dict)


def lives(bundle: Bundle) -> dict[str, Life]:
    """Key id -> its life, as the entries of the bundle tell it."""
    found: dict[str, Life] = {}
    for entry in sorted(bundle.entries, key=lambda one: one.index):
        participant, kid = string(entry.facts, "participant"), string(entry.facts, "kid")
        if participant is None or kid is None:
            continue
        if entry.tag == "participant:key_registered":
            life = found.setdefault(kid, Life())
            life.owners.add(participant)
            if life.registered is None:
                life.registered, life.jwk = entry.index, mapping(entry.facts, "jwk")
        if entry.tag == "participant:key_revoked":
            life = found.setdefault(kid, Life())
            life.revoked = entry.index if life.revoked is None else life.revoked
    return found


def check(report: Report, bundle: Bundle) -> dict[str, set[str]]:
    """Ask whether every signature holds; returns document -> signers whose signature does."""
    asked = report.check("every signature on a document holds")
    known, recorded = lives(bundle), _recorded(bundle)
    sound: dict[str, set[str]] = {}
    untied = silent = 0
    for document in bundle.documents.values():
        for one in document.signatures:
            asked.counted += 1
            at = recorded.get((document.sha256, one.kid, hashlib.sha256(one.jws.encode()).hexdigest()))
            try:
                _judge(document, one, known.get(one.kid), at)
            except NotSigned as error:
                asked.fail(document.name, f"signature of {one.signer}: {error}")
                continue
            if document.true_hash == document.sha256:
                sound.setdefault(document.sha256, set()).add(one.signer)
            untied += one.kid not in known or not known[one.kid].owners
            silent += at is None
    for count, what in ((untied, "made with keys whose registration is"), (silent, "recorded by an entry that is")):
        if count:
            report.notes.append(f"{count} of {asked.counted} signatures are {what} not among the entries")
    return sound


def _recorded(bundle: Bundle) -> Recorded:
    found: Recorded = {}
    for entry in bundle.entries:
        named = [string(entry.facts, name) for name in ("document", "kid", "jws_sha256")]
        if entry.tag == "participant:signature_accepted" and None not in named:
            key = (str(named[0]), str(named[1]), str(named[2]))
            found[key] = min(entry.index, found.get(key, entry.index))
    return found


def _judge(document: Document, one: Signature, life: Life | None, at: int | None) -> None:
    typ = f"{document.kind}+jws"
    if one.typ != typ:
        raise NotSigned(f"it is a signature for {one.typ}")
    keys.check_jws(one.jws, document.body.encode(), one.jwk, typ=typ, kid=one.kid, alg=one.alg)
    if life is None:
        return
    if life.owners and one.signer not in life.owners:
        raise NotSigned(f"the log registered this key for {' and '.join(sorted(life.owners))}")
    if at is not None and life.registered is not None and at < life.registered:
        raise NotSigned(f"entry {at} recorded it, but entry {life.registered} is the first to know the key")
    if life.revoked is None:
        return
    if at is None:
        raise NotSigned(f"entry {life.revoked} revoked the key, and no entry shows that it was made before")
    if at > life.revoked:
        raise NotSigned(f"entry {at} recorded it after entry {life.revoked} had revoked the key")
