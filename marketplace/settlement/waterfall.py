"""Who gets what of a price: the ordered waterfall of a scheme, `contracts/settlement`, in whole fen; pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from marketplace.costing.formulas import PriceSplit, split_shares
from marketplace.kernel.errors import NotFound

FOLDER = Path(__file__).resolve().parents[2] / "contracts" / "settlement"
DEFAULT = "provider-keeps-all-v1"

Role = Literal["hospital", "department", "annotators", "operator", "patient_benefit_fund"]
Beneficiary = Literal[
    "tax",
    "exchange_fee",
    "service_fee",
    "cost_recovery",
    "treasury",
    "treasury_cost",
    "hospital",
    "department",
    "annotators",
    "operator",
    "patient_benefit_fund",
]


class NoSuchScheme(NotFound):
    """No such settlement scheme."""


class ShareRule(BaseModel):
    """A weight in what is left at the end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role
    weight: int = Field(ge=1, le=10_000, strict=True)


class Scheme(BaseModel):
    """A published version of the waterfall; never edited, a later version follows it.

    After tax and exchange fee: the platform's service fee in thousandths of the price without VAT, then the asset's
    cost until it is repaid, then shares by weight.  treasury: the hospital's part and the
    repaid cost go to its treasury.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z]+(-[a-z]+)*-v[0-9]+$")
    title: str
    title_zh: str
    source: str
    is_example: bool
    service_fee_per_mille: int = Field(ge=0, le=200, strict=True)
    cost_recovery_first: bool
    shares: tuple[ShareRule, ...] = Field(min_length=1)
    treasury: bool

    @model_validator(mode="after")
    def _each_role_once_and_a_hospital(self) -> Self:
        roles = [one.role for one in self.shares]
        if len(set(roles)) != len(roles) or "hospital" not in roles:
            raise ValueError(f"each role once, the hospital among them, got {roles}")
        return self


@dataclass(frozen=True)
class Part:
    """What one beneficiary gets of a price, fen, never zero."""

    role: Beneficiary
    amount_fen: int


def divide(split: PriceSplit, scheme: Scheme, unrecovered_fen: int) -> list[Part]:
    """The parts of a price in the order of the waterfall; they always sum to the price.

    unrecovered_fen: cost of the asset that no earlier sale has repaid.
    """
    left = split.distributable
    fee = min(split.net * scheme.service_fee_per_mille // 1000, left)
    cost = min(max(unrecovered_fen, 0), left - fee) if scheme.cost_recovery_first else 0
    amounts = split_shares(left - fee - cost, [one.weight for one in scheme.shares])

    parts: list[tuple[Beneficiary, int]] = [
        ("tax", split.vat + split.surcharge),
        ("exchange_fee", split.exchange_fee),
        ("service_fee", fee),
        ("treasury_cost" if scheme.treasury else "cost_recovery", cost),
    ]
    for rule, amount in zip(scheme.shares, amounts, strict=True):
        parts.append(("treasury" if scheme.treasury and rule.role == "hospital" else rule.role, amount))
    return [Part(role, amount) for role, amount in parts if amount]


@cache
def schemes() -> dict[str, Scheme]:
    """Every published scheme by its id."""
    read = (Scheme.model_validate_json(file.read_bytes()) for file in sorted(FOLDER.glob("*-v*.json")))
    return {one.id: one for one in read}


def scheme(name: str) -> Scheme:
    """One published scheme.  Raises NoSuchScheme."""
    found = schemes().get(name)
    if found is None:
        raise NoSuchScheme("no settlement scheme with this name", expected=" or ".join(schemes()))
    return found
