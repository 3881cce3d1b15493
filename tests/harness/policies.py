"""Generated contracts: two engines agree, a stricter contract never grants more, no unknown term gets in (goal G12).

`python -m tests.harness.policies [--cases 10000] [--seed N] [--seeded-bug] [--json]`
agree: the Rego in process against a second judge written from ODRL.  stricter: one constraint or prohibition more
turns no refusal into a grant.  unknown: one unknown term at any node of a policy that grants is refused at publishing
and denied at decision, each for itself.
`--seeded-bug`: each of the three gets a bug of its own that it must catch.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marketplace.exchange.terms import NoEnforcementPoint, UnknownTerm, check_terms
from marketplace.plumbing.policy import PolicyFiles, RegorusEngine
from marketplace.usage.facts import compile_uses
from tests.policies.cases import Json, Maker, brief
from tests.policies.changes import mutated, strengthened
from tests.policies.second_engine import judge

POLICIES = Path(__file__).resolve().parents[2] / "policies"

# (file, what stands there, what the bug puts in its place)
ANY_FOR_ALL = (
    "lib/constraints.rego",
    "every part in constraint.parts {\n\t\tholds_second(part, seen, terms)\n\t}",
    "some part in constraint.parts\n\tholds_second(part, seen, terms)",
)
LAST_WINS = (
    "lib/constraints.rego",
    "every constraint in permission.constraints {\n\t\tagrees(constraint, seen, terms)\n\t}",
    "agrees(permission.constraints[count(permission.constraints) - 1], seen, terms)",
)


@dataclass
class Finding:
    """What came of one sweep.  telling: cases that could have shown a fault at all; wrong: those that did."""

    cases: int = 0
    telling: int = 0
    wrong: list[str] = field(default_factory=list)


def agree(engine: RegorusEngine, cases: int, seed: int) -> Finding:
    """Both engines on the same normalised policies and facts.  telling: granted by at least one."""
    found = Finding()
    for case in Maker(seed).cases(cases):
        told = case.told()
        decision, second = engine.decide("access", told), judge(told)
        found.cases += 1
        found.telling += decision.allow or second[0]
        if (decision.allow, _bag(decision.obligations)) != (second[0], _bag(second[1])):
            found.wrong.append(f"Rego {decision.allow} {decision.reasons}, second {second}: {brief(case)}")
    return found


def stricter(engine: RegorusEngine, cases: int, seed: int) -> Finding:
    """One constraint or prohibition more, in so many contracts that refuse.  telling: all of these."""
    found, maker = Finding(), Maker(seed)
    while found.telling < cases:
        case = next(maker.cases(1))
        found.cases += 1
        if engine.decide("access", case.told()).allow:
            continue
        found.telling += 1
        policy = strengthened(maker, case)
        if engine.decide("access", case.told(policy)).allow:
            found.wrong.append(f"granted only when stricter: {brief(case, policy)}")
    return found


def unknown(engine: RegorusEngine, cases: int, seed: int, compiler: Callable[[Any], Json]) -> Finding:
    """One unknown term in a policy that is published and grants.  telling: both held before the change."""
    found, maker = Finding(), Maker(seed, willing=True)
    for case in maker.cases(cases):
        policy, path = mutated(maker, case.policy)
        found.cases += 1
        found.telling += _published(case.policy) and engine.decide("access", case.told()).allow
        if _published(policy):
            found.wrong.append(f"published with an unknown term at {path}: {brief(case, policy)}")
        if engine.decide("access", case.facts | {"uses": compiler(policy)}).allow:
            found.wrong.append(f"granted with an unknown term at {path}: {brief(case, policy)}")
    return found


def sweep(cases: int, seed: int, *, seeded_bug: bool = False) -> dict[str, Finding]:
    """All three sweeps by name."""
    with _engine(ANY_FOR_ALL if seeded_bug else None) as engine:
        first = agree(engine, cases, seed)
    with _engine(LAST_WINS if seeded_bug else None) as engine:
        second = stricter(engine, cases, seed + 1)
    with _engine(None) as engine:
        third = unknown(engine, cases, seed + 2, _forgiving if seeded_bug else _compiled)
    return {"agree": first, "stricter": second, "unknown": third}


@contextmanager
def _engine(bug: tuple[str, str, str] | None) -> Iterator[RegorusEngine]:
    """The policies in process, with a bug put into them or as they are."""
    texts = PolicyFiles(POLICIES).texts
    if bug is not None:
        name, sound, broken = bug
        if sound not in texts[name]:
            raise RuntimeError(f"the bug has no place in {name} any more")
        texts[name] = texts[name].replace(sound, broken)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        yield RegorusEngine(Path(folder))


def _published(policy: Json) -> bool:
    try:
        check_terms(policy)
    except (UnknownTerm, NoEnforcementPoint):
        return False
    return True


def _compiled(policy: Any) -> Json:
    return compile_uses(policy).model_dump()


def _forgiving(policy: Any) -> Json:
    """The bug of a neighbour: what is not understood is left out."""
    uses = _compiled(policy) | {"unknown": []}
    for permission in uses["permissions"]:
        kept = [one for one in permission["constraints"] if one.get("left") in {"purpose", "count"}]
        permission["constraints"] = kept
    return uses


def _bag(duties: Any) -> list[str]:
    return sorted(json.dumps(duty, sort_keys=True) for duty in duties)


def main(arguments: list[str] | None = None) -> int:
    """Run the sweeps and print what was found; 1 when anything was wrong or nothing could have been."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="of each sweep")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--seeded-bug", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    found = sweep(options.cases, options.seed, seeded_bug=options.seeded_bug)
    figures = {
        name: {"cases": one.cases, "telling": one.telling, "wrong": len(one.wrong)} for name, one in found.items()
    }
    met = all(one.telling and not one.wrong for one in found.values())
    if options.json:
        goal = {name: {"wrong": 0} for name in found}
        print(json.dumps({"name": "policies", "seed": options.seed, "figures": figures, "goal": goal, "met": met}))
        return 0 if met else 1
    words = "; ".join(
        f"{name}: {one.cases} cases, {one.telling} telling, {len(one.wrong)} wrong" for name, one in found.items()
    )
    print(f"seed {options.seed}: {words}; {time.monotonic() - began:.0f} s; {'met' if met else 'NOT MET'}")
    for name, one in found.items():
        for words in one.wrong[:3]:
            print(f"WRONG {name}: {words[:2000]}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
