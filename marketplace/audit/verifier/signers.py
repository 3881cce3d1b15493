"""Signatures on documents, judged by the log: whose key, and recorded before or after its revocation.

What the bundle says beside a signature proves nothing: an entry must have registered the key for the signer, and an
entry must have recorded the signature.  "After" is a matter of leaf numbers alone; no stated time counts.
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
# document -> signer whose signature over it holds -> leaf number of the entry that recorded it
Sound = dict[str, dict[str, int]]


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


def check(report: Report, bundle: Bundle) -> Sound:
    """Ask whether every signature holds; returns document -> signers whose signature does."""
    asked = report.check("every signature on a document holds")
    known, recorded = lives(bundle), _recorded(bundle)
    sound: Sound = {}
    for document in bundle.documents.values():
        for one in document.signatures:
            asked.counted += 1
            at = recorded.get((document.sha256, one.kid, hashlib.sha256(one.jws.encode()).hexdigest()))
            try:
                leaf = _judge(document, one, known.get(one.kid, Life()), at)
            except NotSigned as error:
                asked.fail(document.name, f"signature of {one.signer}: {error}")
                continue
            if document.true_hash == document.sha256:
                sound.setdefault(document.sha256, {})[one.signer] = leaf
    return sound


def _recorded(bundle: Bundle) -> Recorded:
    found: Recorded = {}
    for entry in bundle.entries:
        named = [string(entry.facts, name) for name in ("document", "kid", "jws_sha256")]
        if entry.tag == "participant:signature_accepted" and None not in named:
            key = (str(named[0]), str(named[1]), str(named[2]))
            found[key] = min(entry.index, found.get(key, entry.index))
    return found


def _judge(document: Document, one: Signature, life: Life, at: int | None) -> int:
    """The leaf number of the entry that recorded a signature.  Raises NotSigned."""
    typ = f"{document.kind}+jws"
    if one.typ != typ:
        raise NotSigned(f"it is a signature for {one.typ}")
    keys.check_jws(one.jws, document.body.encode(), one.jwk, typ=typ, kid=one.kid, alg=one.alg)
    return require_life(life, one.signer, at)


def require_life(life: Life, signer: str, at: int | None) -> int:
    """The leaf number at which a key of a signer made something, when the key was the signer's and alive there.

    at: of the entry that recorded what was made, None without one.  Raises NotSigned.
    """
    if life.registered is None:
        raise NotSigned(f"no entry at hand registers its key for {signer}")
    if life.owners != {signer}:
        raise NotSigned(f"the log registered this key for {' and '.join(sorted(life.owners))}")
    if at is None:
        revoked = f"entry {life.revoked} revoked the key, and " if life.revoked is not None else ""
        raise NotSigned(f"{revoked}no entry at hand recorded it")
    if at < life.registered:
        raise NotSigned(f"entry {at} recorded it, but entry {life.registered} is the first to know the key")
    if life.revoked is not None and at > life.revoked:
        raise NotSigned(f"entry {at} recorded it after entry {life.revoked} had revoked the key")
    return at
