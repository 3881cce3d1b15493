"""A proof file (C2SP tlog-proof): one leaf under one checkpoint."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from marketplace.audit.verifier import tree
from marketplace.audit.verifier.heads import Trusted
from marketplace.audit.verifier.keys import TreeHead
from marketplace.audit.verifier.report import Report
from marketplace.audit.verifier.text import Unreadable, read_canonical, string

HEADER = "c2sp.org/tlog-proof@v1\n"
_MAX_INDEX = 1 << 62


@dataclass(frozen=True)
class Proof:
    """A proof as read.  leaf: the hash in its `extra` line, which nobody signed; None when there is none."""

    index: int
    path: tuple[bytes, ...]
    leaf: bytes | None
    checkpoint: str


@dataclass(frozen=True)
class EntryText:
    """The exact text of an entry, given beside a proof."""

    file: str
    body: str

    @property
    def leaf(self) -> bytes:
        return tree.leaf(self.body.encode())

    @property
    def said(self) -> str:
        """What it says, in one line."""
        content = read_canonical(self.body)
        names = ("id",), ("tag",), ("actor", "participant"), ("at",)
        return " ".join(string(content, *name) or "-" for name in names)


def read_proof(text: str) -> Proof:
    """Read a proof file.  Raises Unreadable."""
    upper, gap, checkpoint = text.removeprefix(HEADER).partition("\n\n")
    lines = upper.split("\n")
    extra = lines.pop(0).removeprefix("extra ") if lines[0].startswith("extra ") else None
    word, _, digits = lines.pop(0).partition(" ") if lines else ("", "", "")
    plain = digits.isascii() and digits.isdigit() and len(digits) < 20 and str(int(digits)) == digits
    if not gap or word != "index" or not plain or int(digits) >= _MAX_INDEX or len(lines) > 64:
        raise Unreadable("not a proof file of the form c2sp.org/tlog-proof@v1")
    path = tuple(_hash(line) for line in lines)
    return Proof(int(digits), path, _hash(extra) if extra is not None else None, checkpoint)


def read_entry_text(file: str, text: str) -> EntryText | None:
    """An entry's exact text; None for another file."""
    try:
        content = read_canonical(text.removesuffix("\n"))
    except Unreadable:
        return None
    named = all(string(content, name) for name in ("id", "tag", "nonce"))
    return EntryText(file, text.removesuffix("\n")) if named else None


def check(
    report: Report, proof: Proof, texts: list[EntryText], trusted: Trusted
) -> tuple[TreeHead | None, bytes | None]:
    """Ask all questions of one proof; returns its head if that is signed, and the leaf hash that it proves."""
    head, signed = trusted.check(report, proof.checkpoint)
    asked = report.check("the leaf is in the tree of the checkpoint")
    asked.counted += 1
    texts = [one for one in texts if head is not None and _leads(proof, one.leaf, head)]
    leaf = texts[0].leaf if texts else proof.leaf
    name = f"entry {proof.index}"
    if head is None:
        asked.fail(name, "there is no checkpoint to compare with")
    elif leaf is None:
        asked.fail(name, "the proof does not name its leaf: give the entry's text beside it")
    elif not _leads(proof, leaf, head):
        asked.fail(name, f"the leaf {leaf.hex()} is not at that number in the signed tree")
    else:
        said = f"its text is {texts[0].said}" if texts else "give the entry's text beside it to see what it says"
        report.notes.append(f"leaf {leaf.hex()} is number {proof.index} of {head.size}; {said}")
    return head if signed else None, leaf if asked.ok else None


def check_text(report: Report, text: EntryText, proven: dict[str, int]) -> None:
    """Ask of an entry's text whether a proof leads to it."""
    asked = report.check("a proof leads to this entry's text")
    asked.counted += 1
    if text.leaf.hex() not in proven:
        asked.fail(
            text.said.split(" ")[0], "no proof at hand is about this text: it was changed, or give its proof file"
        )


def _leads(proof: Proof, leaf: bytes, head: TreeHead) -> bool:
    return tree.root_from_path(leaf, proof.index, head.size, proof.path) == head.root


def _hash(line: str) -> bytes:
    try:
        found = base64.b64decode(line.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Unreadable("the proof has a line that is not base64") from error
    if len(found) != 32:
        raise Unreadable("the proof has a line that is not a hash")
    return found
