"""The questions asked of a bundle."""

from __future__ import annotations

from marketplace.audit.verifier import authors, contracts, signers, succession, tree, uses
from marketplace.audit.verifier.bundle import Bundle
from marketplace.audit.verifier.heads import Trusted
from marketplace.audit.verifier.keys import TreeHead
from marketplace.audit.verifier.report import Report
from marketplace.audit.verifier.signers import Sound
from marketplace.audit.verifier.text import Unreadable, read_canonical, string

RECORDED = ("audit:recovered", "audit:key_rotated")


def check(report: Report, bundle: Bundle, trusted: Trusted) -> TreeHead | None:
    """Ask all questions of one bundle; returns its tree head if that is signed."""
    head, signed = trusted.check(report, bundle.checkpoint)
    if head is not None and head.origin != bundle.origin:
        report.checks[-1].fail("checkpoint", f"it is of the log {head.origin}, the bundle of {bundle.origin}")
    if bundle.statements:
        require_operator = authors.Operators.of(bundle).require
        succession.check(report, bundle.statements, _recorded(bundle), head.size if head else 0, require_operator)
    _inclusion(report, bundle, head)
    _bodies(report, bundle)
    sound = _documents(report, bundle)
    contracts.check(report, bundle, sound)
    uses.check(report, bundle)
    return head if signed else None


def _recorded(bundle: Bundle) -> dict[str, int]:
    """Statement about the log -> leaf number of the first entry that cites it."""
    found: dict[str, int] = {}
    for entry in bundle.entries:
        name = string(entry.facts, "statement")
        if entry.tag in RECORDED and name is not None:
            found[name] = min(entry.index, found.get(name, entry.index))
    return found


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


def _documents(report: Report, bundle: Bundle) -> Sound:
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
    return signers.check(report, bundle)
