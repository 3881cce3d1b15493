"""Which keys may have signed a checkpoint: those one was given, and those that signed statements lead to from there.

A statement says that the log or the witness replaced its key, or that the log goes on under a new origin after leaves
were lost.  It counts when the key before it signed (for a recovery: witness and operator, whose key the log knows).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from marketplace.audit.verifier import keys
from marketplace.audit.verifier.keys import LOG, WITNESS, NotSigned
from marketplace.audit.verifier.report import Report
from marketplace.audit.verifier.text import Unreadable, mapping, read_canonical, string

RECOVERY, ROTATION = "log-recovery", "key-rotation"
ASKED = "every recovery of the log and every new key is signed by whom it must be, and is an entry"


@dataclass(frozen=True)
class Statement:
    """One of them, as the bundle gives it.  note: signature lines over its hash; operators: detached JWS with keys."""

    body: str
    note: str
    operators: tuple[tuple[str, dict[str, Any]], ...]

    @cached_property
    def content(self) -> dict[str, Any]:
        """The parsed body, empty when it is not a canonical object."""
        try:
            value = read_canonical(self.body)
        except Unreadable:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()

    @property
    def name(self) -> str:
        return f"statement {self.sha256}"

    @property
    def is_recovery(self) -> bool:
        return self.content.get("type") == RECOVERY

    @property
    def kind(self) -> int:
        """Whose key it is about."""
        return WITNESS if self.content.get("role") == "witness" else LOG

    @property
    def old(self) -> str:
        return string(self.content, "log_old" if self.is_recovery else "old") or ""

    @property
    def new(self) -> str:
        return string(self.content, "log_new" if self.is_recovery else "new") or ""

    @property
    def size(self) -> int:
        """The largest tree that the old key may have signed."""
        return _size(self.content, "kept" if self.is_recovery else "head")

    @property
    def signers(self) -> tuple[tuple[str, int], ...]:
        """Verifier keys that must have signed the note, with their kinds."""
        if self.is_recovery:
            return ((string(self.content, "witness") or "", WITNESS),)
        return ((self.old, self.kind), (self.new, self.kind))

    @property
    def operator_kids(self) -> tuple[str, ...]:
        """Ids of the keys that signed a recovery for the operator; whose they are, the log must tell."""
        return tuple(str(keys.read_header(jws).get("kid")) for jws, _ in self.operators) if self.is_recovery else ()

    def check(self) -> None:
        """Raises NotSigned unless it is well formed and every signature holds that must be there."""
        if self.content.get("type") not in (RECOVERY, ROTATION) or self.size < 0:
            raise NotSigned("it is neither a recovery nor a new key")
        for line, kind in self.signers:
            keys.check_statement(self.note, self.sha256, keys.read_key(line, kind))
        if self.is_recovery:
            if keys.read_key(self.old, LOG).public != keys.read_key(self.new, LOG).public:
                raise NotSigned("a recovery does not replace the key of the log")
            if not self.operators:
                raise NotSigned("the platform operator did not sign")
            for jws, jwk in self.operators:
                header = keys.read_header(jws)
                kid, alg = str(header.get("kid")), str(header.get("alg"))
                keys.check_jws(jws, self.body.encode(), jwk, typ=f"{RECOVERY}+jws", kid=kid, alg=alg)

    @property
    def loss(self) -> str:
        """In words, what a recovery says was lost."""
        kept, at = self.size, string(self.content, "at") or "?"
        end = max(_size(self.content, "cosigned"), _size(self.content, "signed"), kept)
        lost = f"leaves {kept} to {end - 1} were lost" if end > kept else "no leaf was lost"
        former, new = string(self.content, "old_origin"), string(self.content, "new_origin")
        return f"of the former log {former} {lost}; since {at} it goes on as {new}; both signatures hold"


@dataclass
class Reached:
    """Verifier key -> the largest tree size it may have signed, None for a key that is still in use."""

    log: dict[str, int | None] = field(default_factory=dict)
    witness: dict[str, int | None] = field(default_factory=dict)

    def of(self, kind: int) -> dict[str, int | None]:
        return self.log if kind == LOG else self.witness


def follow(statements: tuple[Statement, ...], log: tuple[str, ...], witness: tuple[str, ...]) -> Reached:
    """The keys that statements lead to from the given ones, in the order of the statements."""
    reached = Reached(dict.fromkeys(log), dict.fromkeys(witness))
    for one in statements:
        try:
            one.check()
        except NotSigned:
            continue
        of = reached.of(one.kind)
        signer = string(one.content, "witness") or ""
        if one.old in of and (not one.is_recovery or signer in reached.witness):
            of[one.old] = one.size
            of.setdefault(one.new)
    return reached


def first(statements: tuple[Statement, ...], kind: int, told: str) -> tuple[str, ...]:
    """The oldest key of a role that the evidence itself names, and the one it says is in use."""
    named = [one.old for one in statements if one.kind == kind]
    return (named[0], told) if named else (told,)


def check(
    report: Report,
    statements: tuple[Statement, ...],
    cited: dict[str, int],
    size: int,
    require_operator: Callable[[str, int], None],
) -> None:
    """Ask it of every statement.

    cited: statement's hash -> leaf number of its entry; size: of the checkpoint's tree; require_operator: raises
    NotSigned unless the key with this id was a platform operator's at a leaf number.
    """
    asked = report.check(ASKED)
    for one in statements:
        asked.counted += 1
        try:
            one.check()
            for kid in one.operator_kids:
                require_operator(kid, cited.get(one.sha256, size))
        except NotSigned as error:
            asked.fail(one.name, str(error))
            continue
        if one.sha256 not in cited and size > one.size:
            asked.fail(one.name, "no entry at hand cites it")
        if one.is_recovery:
            report.notes.append(one.loss)


def read(value: Any, where: str) -> Statement:
    """One item of the bundle's member `statements`.  Raises Unreadable."""
    body, note = string(value, "body"), string(value, "note")
    signatures = value.get("signatures") if isinstance(value, dict) else None
    if body is None or note is None or not isinstance(signatures, list):
        raise Unreadable(f"{where} is not a statement")
    operators = tuple((string(one, "jws") or "", mapping(one, "jwk")) for one in signatures)
    return Statement(body, note, operators)


def _size(content: dict[str, Any], name: str) -> int:
    found = mapping(content, name).get("size")
    return found if type(found) is int else -1
