"""What the verifier found: plain words first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Failure:
    """One thing that does not hold.  subject: the entry, document or note it is about."""

    subject: str
    detail: str


@dataclass
class Check:
    """One question asked of the bundle.  counted: how many things it was asked of."""

    name: str
    counted: int = 0
    failures: list[Failure] = field(default_factory=list)

    def fail(self, subject: str, detail: str) -> None:
        self.failures.append(Failure(subject, detail))

    @property
    def ok(self) -> bool:
        return not self.failures


@dataclass
class Report:
    """All checks of one file.  notes: what was not proven, and why; unreadable: why nothing could be checked."""

    file: str
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unreadable: str | None = None

    def check(self, name: str) -> Check:
        """Open a check; it passes unless something is added to it."""
        self.checks.append(Check(name))
        return self.checks[-1]

    @property
    def exit_code(self) -> int:
        """0: all holds; 1: something does not; 2: not readable."""
        if self.unreadable is not None:
            return 2
        return 0 if all(check.ok for check in self.checks) else 1

    def plain(self) -> str:
        """The report as text, one line per check, one per failure."""
        if self.unreadable is not None:
            return f"{self.file}: NOT READABLE: {printable(self.unreadable)}"
        verdict = {0: "GENUINE: every check holds", 1: "NOT GENUINE: see the failed checks"}[self.exit_code]
        lines = [f"{self.file}: {verdict}"]
        for check in self.checks:
            lines.append(f"  {'ok  ' if check.ok else 'FAIL'}  {check.name} ({check.counted})")
            lines += [f"        {printable(one.subject)}: {printable(one.detail)}" for one in check.failures]
        return "\n".join(lines + [f"  note  {printable(one)}" for one in self.notes])

    def as_json(self) -> dict[str, Any]:
        """The report as values."""
        return {
            "file": self.file,
            "ok": self.exit_code == 0,
            "unreadable": self.unreadable,
            "checks": [
                {
                    "name": check.name,
                    "ok": check.ok,
                    "counted": check.counted,
                    "failures": [{"subject": one.subject, "detail": one.detail} for one in check.failures],
                }
                for check in self.checks
            ],
            "notes": self.notes,
        }


def printable(text: str) -> str:
    """A text from a hostile file, safe for a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)[:400]
