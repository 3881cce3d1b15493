"""The policy port: facts in, a decision out.  No valid decision means no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from marketplace.kernel.canonical import Json


@dataclass(frozen=True)
class Decision:
    """A policy's answer, a value and never an exception.

    reasons: codes of `contracts/policy/reasons.json`, sorted, empty when allowed; obligations: what must be done to
    whatever leaves; revision: hash of the policies that decided.
    """

    allow: bool
    reasons: tuple[str, ...]
    obligations: tuple[Json, ...]
    revision: str


class PolicyEngine(Protocol):
    """An evaluator of the policies in `policies/`."""

    @property
    def revision(self) -> str:
        """Hash over the loaded policies and their static data."""
        ...

    def decide(self, package: str, facts: dict[str, Any]) -> Decision:
        """Evaluate `data.<package>.decision` on facts.

        facts: the whole input; nothing else is asked.  A failing, slow or oddly answering engine yields a denial
        with the reason `policy_unavailable`.
        """
        ...
