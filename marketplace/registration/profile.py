"""The registration rules as data: `CN-national-2026`, read once from `contracts/registration`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from marketplace.kernel.canonical import read_strictly

FILE = Path(__file__).resolve().parents[2] / "contracts" / "registration" / "cn-national-2026.json"


@dataclass(frozen=True)
class Origin:
    """A row of the guideline's table of who can register what (art. 21).

    source_kinds: what the asset may say about its source; rights: right kind -> `yes`, `no_substitute`,
    `with_consent` or `by_contract`.
    """

    source_kinds: frozenset[str]
    rights: dict[str, str]


@dataclass(frozen=True)
class Profile:
    """One registration regime.  Days are working days."""

    id: str
    acceptance_days: int
    finish_days: int
    notice_days: int
    inquiry_days: int
    validity_years: int
    renewal_window_months: int
    retention_years: int
    origins: dict[str, Origin]


@cache
def national() -> Profile:
    """The national guideline of 2026."""
    content = read_strictly(FILE.read_bytes())
    clocks = {name: row["length"] for name, row in content["clocks"].items()}
    return Profile(
        id=content["id"],
        acceptance_days=clocks["acceptance_working_days"],
        finish_days=clocks["finish_working_days"],
        notice_days=clocks["notice_working_days"],
        inquiry_days=clocks["inquiry_working_days"],
        validity_years=clocks["validity_years_max"],
        renewal_window_months=clocks["renewal_window_months"],
        retention_years=clocks["retention_years"],
        origins={row["origin"]: Origin(frozenset(row["source_kinds"]), row["rights"]) for row in content["origins"]},
    )
