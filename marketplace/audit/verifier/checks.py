"""The questions asked of a bundle."""

from __future__ import annotations

from datetime import UTC, datetime

from marketplace.audit.verifier import contracts, keys, tree
from marketplace.audit.verifier.bundle import Bundle, Document, Signature, read_bundle
from marketplace.audit.verifier.keys import LOG, WITNESS, NotSigned, TreeHead
from marketplace.audit.verifier.report import Report
from marketplace.audit.verifier.text import Unreadable, read_canonical, string


def verify(file: str, data: bytes, log_key: str | None = None, witness_key: str | None = None) -> Report:
    """Check one bundle.  log_key, witness_key: verifier keys from elsewhere; else those in the bundle are used."""
    report = Report(file)
    try:
        bundle = read_bundle(data)
    except Unreadable as error:
        report.unreadable = str(error)
        return report
    head = _checkpoint(report, bundle, log_key, witness_key)
    _inclusion(report, bundle, head)
    _bodies(report, bundle)
    sound = _documents(report, bundle)
    contracts.check(report, bundle, sound)
    return report


def _checkpoint(report: Report, bundle: Bundle, log_key: str | None, witness_key: str | None) -> TreeHead | None:
    signed = report.check("the checkpoint is signed by the log and cosigned by the witness")
    for name, given in (("log", log_key), ("witness", witness_key)):
        if given is None:
            report.notes.append(
                f"the {name} key was taken from the bundle: this shows that the parts fit together, not who signed; "
                f"get the key from a source you trust and give it as --{name}-key"
            )
    try:
        head = keys.read_checkpoint(bundle.checkpoint)
    except NotSigned as error:
        signed.fail("checkpoint", str(error))
        return None
    if head.origin != bundle.origin:
        signed.fail("checkpoint", f"it is of the log {head.origin}, the bundle of {bundle.origin}")
    for kind, given, told in ((LOG, log_key, bundle.log_key), (WITNESS, witness_key, bundle.witness_key)):
        signed.counted += 1
        try:
            at = keys.check_note(head, keys.read_key(given or told, kind))
        except NotSigned as error:
            signed.fail("checkpoint", str(error))
            continue
        if at is not None:
            moment = datetime.fromtimestamp(at, UTC) if at < 1 << 37 else None
            report.notes.append(f"the witness saw this log with {head.size} entries at {moment}")
    return head


def _inclusion(report: Report, bundle: Bundle, head: TreeHead | None) -> None:
    check = report.check("every entry is in the tree of the checkpoint")
    seen: set[int] = set()
    for entry in bundle.entries:
        check.counted += 1
        if entry.index in seen:
            check.fail(entry.name, "this leaf number occurs twice")
        seen.add(entry.index)
        if head is None:
            check.fail(entry.name, "there is no checkpoint to compare with")
            continue
        root = tree.root_from_path(tree.leaf(entry.body.encode()), entry.index, head.size, entry.proof)
        if root != head.root:
            check.fail(entry.name, "this text is not the leaf of that number in the signed tree")


def _bodies(report: Report, bundle: Bundle) -> None:
    check = report.check("every entry is written in canonical form and names its author, time and tag")
    for entry in bundle.entries:
        check.counted += 1
        try:
            read_canonical(entry.body)
        except Unreadable as error:
            check.fail(entry.name, str(error))
            continue
        missing = [name for name in ("id", "tag", "at", "actor", "subject", "facts") if name not in entry.content]
        if missing:
            check.fail(entry.name, f"lacks {', '.join(missing)}")


def _documents(report: Report, bundle: Bundle) -> dict[str, set[str]]:
    """Check hashes, origin and signatures; returns document -> signers whose signature holds."""
    whole = report.check("every document has the hash it is cited by and is in canonical form")
    anchored = report.check("every document is cited by an entry, or by a document that is")
    reachable = contracts.reachable(bundle)
    for document in bundle.documents.values():
        whole.counted += 1
        anchored.counted += 1
        if document.true_hash != document.sha256:
            whole.fail(document.name, f"its text has the hash {document.true_hash}")
        try:
            read_canonical(document.body)
        except Unreadable as error:
            whole.fail(document.name, str(error))
        if document.sha256 not in reachable:
            anchored.fail(document.name, "nothing in the log leads to it")
    return _signatures(report, bundle)


def _signatures(report: Report, bundle: Bundle) -> dict[str, set[str]]:
    check = report.check("every signature on a document holds")
    owners = _key_owners(bundle)
    sound: dict[str, set[str]] = {}
    untied = 0
    for document in bundle.documents.values():
        for one in document.signatures:
            check.counted += 1
            try:
                _judge(document, one, owners.get(one.kid))
            except NotSigned as error:
                check.fail(document.name, f"signature of {one.signer}: {error}")
                continue
            if document.true_hash == document.sha256:
                sound.setdefault(document.sha256, set()).add(one.signer)
            untied += one.kid not in owners
    if untied:
        report.notes.append(
            f"{untied} of {check.counted} signatures are made with keys whose registration is not among the entries"
        )
    return sound


def _judge(document: Document, one: Signature, owners: set[str] | None) -> None:
    typ = f"{document.kind}+jws"
    if one.typ != typ:
        raise NotSigned(f"it is a signature for {one.typ}")
    keys.check_jws(one.jws, document.body.encode(), one.jwk, typ=typ, kid=one.kid, alg=one.alg)
    if owners is not None and one.signer not in owners:
        raise NotSigned(f"the log registered this key for {' and '.join(sorted(owners))}")


def _key_owners(bundle: Bundle) -> dict[str, set[str]]:
    """Key id -> participants that the log registered it for."""
    owners: dict[str, set[str]] = {}
    for entry in bundle.entries:
        participant, kid = string(entry.facts, "participant"), string(entry.facts, "kid")
        if entry.tag == "participant:key_registered" and participant is not None and kid is not None:
            owners.setdefault(kid, set()).add(participant)
    return owners
