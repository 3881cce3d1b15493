"""Made-up policies and uses: mostly such that a grant hangs on one term."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from marketplace.exchange.terms import PROFILE, PURPOSES
from marketplace.kernel.clock import timestamp
from marketplace.usage.facts import AccessFacts, compile_uses

Json = dict[str, Any]

NOW = 1_795_000_000
DAY = 86_400
PROVIDER, BUYER, ASSET, VERSION = "par_provider", "par_buyer", "ast_1", "ver_1"
PLACES = ("CN", "SG", "DE")
KINDS = tuple(PROFILE["values"]["recipient_kind"])
OUTPUTS = tuple(PROFILE["values"]["output"])
ENVIRONMENTS = tuple(PROFILE["values"]["environment"])
KNOWN = tuple(PURPOSES["known"])
FIXED = {
    "modality": ("CT", "MR", "PT"),
    "body_part": ("CHEST", "HEART", "CHESTABDOMEN"),
    "attribute": ("Modality", "SliceThickness", "KVP", "PatientSex"),
}


@dataclass(frozen=True)
class Case:
    """A signed policy and everything else that is known about a use of it."""

    policy: Json
    facts: Json

    def told(self, policy: Json | None = None) -> Json:
        """The input of the policy engine, for this policy or another in its place."""
        return self.facts | {"uses": compile_uses(self.policy if policy is None else policy).model_dump()}


class Maker:
    """Cases one after another, the same ones for the same seed.  willing: every case grants."""

    def __init__(self, seed: int, *, willing: bool = False) -> None:
        self.dice = random.Random(seed)
        self.willing = willing

    def cases(self, number: int) -> Iterator[Case]:
        for _ in range(number):
            facts = self._facts()
            yield Case(self._policy(facts), facts)

    def constraint(self, facts: Json, deeper: int = 0) -> Json:
        """One comparison, or a group at most so deep."""
        if deeper and self.dice.random() < 0.4:
            parts = [self.constraint(facts, deeper - 1) for _ in range(self.dice.randint(1, 3))]
            return {self.dice.choice(["and", "or"]): parts}
        operand = self.dice.choice(list(PROFILE["left_operands"]))
        return self._comparison(operand, facts)

    def prohibition(self) -> Json:
        return {"action": self.dice.choice(list(PROFILE["prohibitions"]))}

    def _facts(self) -> Json:
        dice = self.dice
        facts: Json = {
            "now": NOW,
            "asked": {
                "party": BUYER,
                "asset": ASSET,
                "action": dice.choice(list(PROFILE["actions"])),
                "purpose": dice.choice(KNOWN),
                "delivery_mode": "download",
                "place": dice.choice(PLACES),
                "output": dice.choice(OUTPUTS),
                "smallest_group": dice.randint(1, 20),
                "ethics_approval": dice.choice(["", "ER-2026-017"]),
            },
            "agreement": {
                "id": "agr_1",
                "document": "d",
                "state": "finalized",
                "asset": ASSET,
                "version": VERSION,
                "provider": PROVIDER,
                "buyer": BUYER,
                "signers": [BUYER, PROVIDER],
                "delivery_mode": "download",
                "buyer_kind": dice.choice(KINDS),
                "buyer_place": dice.choice(PLACES),
                "provider_place": "CN",
                "starts_at": NOW - 99 * DAY,
                "ends_at": NOW + 99 * DAY,
                "final_at": NOW - dice.randint(0, 60) * DAY,
                "terms_signed": True,
                "parties_active": True,
                "listing_stands": True,
            },
            "version": {
                "id": VERSION,
                "asset": ASSET,
                "kind": "governed",
                "stage": "listed",
                "sealed": True,
                "consent_stands": True,
            },
            "certificate": {"valid": True, "state": "valid"},
            "opinion": {"valid": True, "state": "valid"},
            "quota": {"uses_taken": dice.randint(0, 6), "uses_asked": dice.randint(0, 1), "bytes_taken": 500},
            "epoch": 0,
        }
        facts["quota"]["bytes_asked"] = dice.choice([0, 500, 5_000])
        if not self.willing and dice.random() < 0.15:
            self._spoil(facts)
        return AccessFacts.model_validate(facts | {"uses": compile_uses({}).model_dump()}).model_dump(exclude={"uses"})

    def _spoil(self, facts: Json) -> None:
        """One fact as it must not be."""
        section, name, value = self.dice.choice(
            [
                ("asked", "party", "par_other"),
                ("asked", "asset", "ast_2"),
                ("asked", "action", "distribute"),
                ("asked", "purpose", "marketing"),
                ("asked", "delivery_mode", "secure_environment"),
                ("agreement", "state", "suspended"),
                ("agreement", "signers", [BUYER]),
                ("agreement", "ends_at", NOW),
                ("agreement", "starts_at", NOW + 1),
                ("agreement", "final_at", 0),
                ("agreement", "terms_signed", False),
                ("agreement", "parties_active", False),
                ("agreement", "listing_stands", False),
                ("version", "kind", "raw"),
                ("version", "stage", "certified"),
                ("version", "sealed", False),
                ("version", "consent_stands", False),
                ("certificate", "valid", False),
                ("opinion", "valid", False),
            ]
        )
        facts[section][name] = value

    def _policy(self, facts: Json) -> Json:
        dice = self.dice
        prohibited = dice.sample(list(PROFILE["prohibitions"]), dice.randint(0, 3))
        if self.willing:
            prohibited = [one for one in prohibited if one != "mkt:transferAbroad"] or ["mkt:link"]
        policy: Json = {
            "@context": copy.deepcopy(PROFILE["context"]),
            "@type": "Agreement",
            "@id": "agr_1",
            "profile": PROFILE["id"],
            "assigner": PROVIDER,
            "assignee": BUYER,
            "target": ASSET,
            "timestamp": timestamp(datetime.fromtimestamp(NOW - DAY, UTC)),
            "permission": [self._permission(facts) for _ in range(dice.choice([1, 1, 1, 2, 3]))],
        }
        return policy | ({"prohibition": [{"action": one} for one in prohibited]} if prohibited else {})

    def _permission(self, facts: Json) -> Json:
        dice = self.dice
        action = facts["asked"]["action"] if facts["asked"]["action"] in PROFILE["actions"] else "use"
        if not self._fits(0.9):
            action = dice.choice(list(PROFILE["actions"]))
        limits = [self.constraint(facts, dice.choice([0, 1, 2, 4])) for _ in range(dice.randint(0, 3))]
        duties = [self._duty(one) for one in dice.sample(list(PROFILE["duties"]), dice.randint(0, 3))]
        permission = {
            "action": dice.choice([action, "use"]),
            "target": dice.choice([ASSET, VERSION]),
            "constraint": [self._comparison("purpose", facts), *limits],
        }
        return permission | ({"duty": duties} if duties else {})

    def _duty(self, action: str) -> Json:
        duty = PROFILE["duties"][action]
        some = self.dice.sample(duty["any_of"], self.dice.randint(1, 3)) if "any_of" in duty else duty["operands"]
        return {"action": action} | ({"constraint": [self._limit(one) for one in some]} if some else {})

    def _limit(self, operand: str) -> Json:
        one, dice = PROFILE["duty_operands"][operand], self.dice
        name = dice.choice(one["operators"])
        match one["value"]:
            case "days":
                return _written(operand, name, f"P{dice.randint(1, 90)}D")
            case "integer":
                return _written(operand, name, dice.randint(1, 5000))
            case "year":
                return _written(operand, name, dice.randint(2000, 2030))
        known = FIXED.get(one["value"]) or tuple(PROFILE["values"][one["value"]])
        some = dice.sample(known, dice.randint(1, min(3, len(known))))
        return _written(operand, name, some if name == "isAnyOf" else some[0])

    def _fits(self, chance: float = 0.8) -> bool:
        """Whether the next thing made fits the use."""
        return self.willing or self.dice.random() < chance

    def _comparison(self, operand: str, facts: Json) -> Json:
        asked, agreement = facts["asked"], facts["agreement"]
        listed = {
            "purpose": (asked["purpose"], KNOWN),
            "recipient": (asked["party"], (BUYER, "par_other", "par_third")),
            "mkt:recipientKind": (agreement["buyer_kind"], KINDS),
            "spatial": (asked["place"], PLACES),
            "output": (asked["output"], OUTPUTS),
            "mkt:environment": (asked["delivery_mode"], ENVIRONMENTS),
        }
        if operand in listed:
            return self._among(operand, *listed[operand])
        if operand == "mkt:ethicsApproval" and self.willing and not asked["ethics_approval"]:
            operand = "count"
        if operand == "mkt:ethicsApproval":
            return _written(operand, "eq", "valid")
        return self._moment(facts["now"]) if operand == "dateTime" else self._amount(operand, facts)

    def _amount(self, operand: str, facts: Json) -> Json:
        asked, quota, final = facts["asked"], facts["quota"], facts["agreement"]["final_at"]
        match operand:
            case "mkt:minimumGroupSize":
                most = asked["smallest_group"]
                least = self.dice.randint(1, most) if self._fits() else most + self.dice.randint(1, 9)
                return _written(operand, "gteq", least)
            case "count":
                return _written(operand, "lteq", self._near(quota["uses_taken"] + quota["uses_asked"]))
            case "mkt:volumeBytes":
                return _written(operand, "lteq", str(self._near(quota["bytes_taken"] + quota["bytes_asked"])))
            case _:
                return _written(operand, "lteq", f"P{self._near((facts['now'] - final) // DAY if final else 0)}D")

    def _near(self, actual: int) -> int:
        """A limit at or a little above the actual amount, or else below it."""
        return max(1, actual + self.dice.randint(0, 2) if self._fits() else actual - self.dice.randint(1, 2))

    def _moment(self, now: int) -> Json:
        name, sign = self.dice.choice([("lteq", 1), ("gteq", -1)])
        away = self.dice.choice([0, 1, DAY]) * sign * (1 if self._fits() else -1)
        return _written("dateTime", name, timestamp(datetime.fromtimestamp(now + away, UTC)))

    def _among(self, operand: str, actual: str, known: tuple[str, ...]) -> Json:
        others = [one for one in known if one != actual] or list(known)
        fitting = actual in known and self._fits()
        if self.dice.random() < 0.4:
            return _written(operand, "eq", actual if fitting else self.dice.choice(others))
        several = self.dice.sample(others, self.dice.randint(1, min(3, len(others))))
        return _written(operand, "isAnyOf", list(dict.fromkeys([*several, actual] if fitting else several)))


def _written(left: str, name: str, right: Any) -> Json:
    return {"leftOperand": left, "operator": name, "rightOperand": right}


def brief(case: Case, policy: Json | None = None) -> str:
    """A case on one line, to be looked at by itself."""
    return json.dumps({"policy": policy or case.policy, "facts": case.facts}, sort_keys=True)
