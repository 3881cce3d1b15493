"""Tree heads: are they signed and cosigned, and do all that are at hand belong to one growing log?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from marketplace.audit.verifier import keys, tree
from marketplace.audit.verifier.keys import LOG, WITNESS, NotSigned, TreeHead
from marketplace.audit.verifier.report import Check, Report
from marketplace.audit.verifier.succession import Reached, Statement, first, follow

SIGNED = "the checkpoint is signed by the log and cosigned by the witness"
ONE_LOG = "all checkpoints belong to one log that only grew"


@dataclass(frozen=True)
class Trusted:
    """Verifier keys to check with.  told: keys that the evidence itself names, used where none came from elsewhere.

    statements: on recoveries and new keys; they lead from these keys to those that followed.
    """

    log: tuple[str, ...] = ()
    witness: tuple[str, ...] = ()
    told_log: str = ""
    told_witness: str = ""
    statements: tuple[Statement, ...] = ()

    def check(self, report: Report, note: str) -> tuple[TreeHead | None, bool]:
        """Ask whether a checkpoint is signed; its head if it can be read, and the answer."""
        signed = report.check(SIGNED)
        try:
            head = keys.read_checkpoint(note)
        except NotSigned as error:
            signed.fail("checkpoint", str(error))
            return None, False
        self._judge(report, signed, head)
        return head, signed.ok

    def open(self, note: str) -> TreeHead:
        """The head of a checkpoint that log and witness signed.  Raises NotSigned."""
        head = keys.read_checkpoint(note)
        reached = self._reached()
        _first_that_signed(head, LOG, reached.log)
        _first_that_signed(head, WITNESS, reached.witness)
        return head

    def cosigned_at(self, head: TreeHead) -> int:
        """The Unix second at which the witness saw a head; 0 when it did not say so."""
        try:
            return _first_that_signed(head, WITNESS, self._reached().witness) or 0
        except NotSigned:
            return 0

    def _reached(self) -> Reached:
        log = self.log or first(self.statements, LOG, self.told_log)
        return follow(self.statements, log, self.witness or first(self.statements, WITNESS, self.told_witness))

    def _judge(self, report: Report, signed: Check, head: TreeHead) -> None:
        for name, kind, given, told in (
            ("log", LOG, self.log, self.told_log),
            ("witness", WITNESS, self.witness, self.told_witness),
        ):
            signed.counted += 1
            if not given and not told:
                signed.fail("checkpoint", f"no key of the {name} to check it with: give it as --{name}-key")
                continue
            if not given:
                report.notes.append(
                    f"the {name} key was taken from the bundle: this shows that the parts fit together, not who "
                    f"signed; get the key from a source you trust and give it as --{name}-key"
                )
            try:
                at = _first_that_signed(head, kind, self._reached().of(kind))
            except NotSigned as error:
                signed.fail("checkpoint", str(error))
                continue
            if at is not None:
                moment = datetime.fromtimestamp(at, UTC) if at < 1 << 37 else None
                report.notes.append(f"the witness saw this log with {head.size} entries at {moment}")


@dataclass(frozen=True)
class Seen:
    """A tree head that came with a file."""

    file: str
    head: TreeHead


@dataclass(frozen=True)
class Step:
    """A proof, from a file, that the tree `new` extends an older one."""

    file: str
    old_size: int
    old_root: bytes
    proof: tuple[bytes, ...]
    new: TreeHead


def one_log(check: Check, seen: list[Seen], steps: list[Step]) -> None:
    """Ask of all heads, per log: same size, same root; and from each smaller one a proven step to a larger one."""
    for step in steps:
        check.counted += 1
        if not tree.extends(step.old_size, step.old_root, step.new.size, step.new.root, step.proof):
            check.fail(step.file, f"its proof does not lead from {step.old_size} to {step.new.size} entries")
    for one in seen:
        check.counted += 1
        others = [other for other in seen if other.head.origin == one.head.origin]
        for other in others:
            if other.head.size == one.head.size and other.head.root < one.head.root:
                what = f"two logs of {one.head.size} entries were signed, see also {other.file}: the log was forked"
                check.fail(one.file, what)
        larger = [other.head.size for other in others if other.head.size > one.head.size]
        if one.head.size and larger and not any(_leads_on(step, one.head) for step in steps):
            known = next((step for step in steps if step.old_size == one.head.size), None)
            what = (
                f"its tree of {one.head.size} entries is not the one that {known.file} grew from: the log was rewritten"
                if known
                else f"nothing shows that the log of {min(larger)} entries extends its {one.head.size}: "
                "export again with --since and this file"
            )
            check.fail(one.file, what)


def _leads_on(step: Step, head: TreeHead) -> bool:
    return (step.old_size, step.old_root, step.new.origin) == (head.size, head.root, head.origin) and tree.extends(
        step.old_size, step.old_root, step.new.size, step.new.root, step.proof
    )


def _first_that_signed(head: TreeHead, kind: int, lines: dict[str, int | None]) -> int | None:
    """The time of the cosignature by the first of these keys that signed, None for a log.

    lines: with the largest tree that each may have signed.  Raises NotSigned.
    """
    refused: NotSigned | None = None
    for line, until in lines.items():
        try:
            at = keys.check_note(head, keys.read_key(line, kind))
        except NotSigned as error:
            refused = error
            continue
        if until is None or head.size <= until:
            return at
        raise NotSigned(f"a key that was replaced at {until} entries signed a tree of {head.size}: {line}")
    assert refused is not None
    raise refused
