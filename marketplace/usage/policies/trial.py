"""Decisions that every policy must make, whatever else it says: a bundle that grants one of these uses never decides.

The trial asks one use that fits its contract, and the same use with one fact changed that no policy may overlook:
parties, signatures, state, term, listing, delivery, version, consent, certificate, opinion, an unknown term.  And
nothing is offered or accepted where nothing is known of a proposal.  A bundle may be stricter
than the trial, never laxer.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel

from marketplace.exchange.terms import PROFILE
from marketplace.kernel.canonical import Json
from marketplace.plumbing.policy import UNAVAILABLE, RegorusEngine
from marketplace.plumbing.policyfiles import PolicyFiles
from marketplace.usage.facts import AccessFacts, checked, compile_uses, judged

PACKAGE: Final = "access"
_ANSWERS: Final = "negotiation"
_ACCEPTS: Final = "acceptance"
_NOW: Final = 1_800_000_000
_USES: Final[Json] = {
    "@type": "Agreement",
    "profile": PROFILE["id"],
    "assigner": "prt_provider",
    "assignee": "prt_buyer",
    "target": "ast_trial",
    "permission": [
        {
            "action": "use",
            "target": "ast_trial",
            "constraint": [{"leftOperand": "purpose", "operator": "eq", "rightOperand": "model_training"}],
        }
    ],
}
_FACTS: Final[Json] = {
    "now": _NOW,
    "asked": {
        "party": "prt_buyer",
        "asset": "ast_trial",
        "action": "use",
        "purpose": "model_training",
        "delivery_mode": "download",
        "place": "CN",
        "output": "records",
        "smallest_group": 1,
        "ethics_approval": "",
    },
    "agreement": {
        "id": "agr_trial",
        "document": "ab" * 32,
        "state": "finalized",
        "provider": "prt_provider",
        "buyer": "prt_buyer",
        "buyer_kind": "company",
        "buyer_place": "CN",
        "provider_place": "CN",
        "asset": "ast_trial",
        "version": "ver_trial",
        "delivery_mode": "download",
        "starts_at": _NOW - 10,
        "ends_at": _NOW + 10,
        "final_at": _NOW - 5,
        "signers": ["prt_buyer", "prt_provider"],
        "terms_signed": True,
        "parties_active": True,
        "listing_stands": True,
    },
    "version": {
        "id": "ver_trial",
        "asset": "ast_trial",
        "kind": "governed",
        "stage": "listed",
        "sealed": True,
        "consent_stands": True,
    },
    "certificate": {"valid": True, "state": "valid"},
    "opinion": {"valid": True, "state": "valid"},
    "quota": {"uses_taken": 0, "uses_asked": 1, "bytes_taken": 0, "bytes_asked": 1},
    "epoch": 0,
}
_NEVER: Final[tuple[tuple[str, Any], ...]] = (
    ("asked.party", "prt_stranger"),
    ("asked.asset", "ast_other"),
    ("asked.action", "distribute"),
    ("asked.purpose", "marketing"),
    ("asked.delivery_mode", "secure_environment"),
    ("agreement.state", "suspended"),
    ("agreement.signers", ["prt_buyer"]),
    ("agreement.signers", ["prt_provider"]),
    ("agreement.terms_signed", False),
    ("agreement.parties_active", False),
    ("agreement.listing_stands", False),
    ("agreement.starts_at", _NOW + 1),
    ("agreement.ends_at", _NOW),
    ("version.id", "ver_other"),
    ("version.kind", "raw"),
    ("version.stage", "suspended"),
    ("version.sealed", False),
    ("version.consent_stands", False),
    ("certificate.valid", False),
    ("opinion.valid", False),
    ("uses.assignee", "prt_stranger"),
    ("uses.assigner", "prt_stranger"),
    ("uses.unknown", ["/permission/0/weather"]),
    ("uses.permissions", []),
)


class Trial(StrEnum):
    """How a trial ended: the policies do not compile, give no decision, grant what none may; or passed."""

    BROKEN = "broken"
    ODD = "odd"
    LAX = "lax"
    PASSED = "passed"


def try_out(files: PolicyFiles) -> Trial:
    """Let policies decide the uses of the trial, in an engine of their own."""
    try:
        engine = RegorusEngine(files)
    except (RuntimeError, ValueError):
        return Trial.BROKEN
    answers = [(forbidden, engine.decide(PACKAGE, facts)) for forbidden, facts in _cases()]
    answers.append((True, engine.decide(_ANSWERS, {})))
    if any(UNAVAILABLE in answer.reasons for _, answer in answers):
        return Trial.ODD
    # A bundle from before there were rules of buyers knows none of this package, and accepts nothing for them.
    answers.append((True, engine.decide(_ACCEPTS, {})))
    return Trial.LAX if any(forbidden and answer.allow for forbidden, answer in answers) else Trial.PASSED


def example() -> Json:
    """The facts of a use that fits its contract, in parts as a use is told by."""
    told = AccessFacts.model_validate(_FACTS | {"uses": compile_uses(_USES)})
    return checked({name: judged(one) if isinstance(one, BaseModel) else one for name, one in told})


def _cases() -> Iterator[tuple[bool, Json]]:
    """Whether a use must be refused, and its facts."""
    yield True, {}
    yield False, example()
    for path, value in _NEVER:
        section, name = path.split(".")
        facts = deepcopy(example())
        facts[section][name] = value
        yield True, facts
