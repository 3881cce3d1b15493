"""Twenty times from files to a listing: a whole cohort goes from stage to stage together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marketplace.client.acts import declare
from seeds.chest_ct import Archive, generate
from seeds.year.plot import Product
from seeds.year.state import Made, Year

SIZE, SLICES = 32, 2
BOUNDS = {"max_uses": 200, "max_bytes": "50000000000", "deletion_days": 30, "report_days": 90}
PURPOSES = {
    "product-development/v1": ("product_development", "model_validation"),
    "buyout/v1": ("product_development", "scientific_research"),
    "subscription/v1": ("scientific_research", "statistics"),
    "per-case/v1": ("product_development", "model_validation"),
    "results-based/v1": ("product_development", "model_training"),
    "research-use/v1": ("scientific_research",),
    "open-data/v1": ("scientific_research", "public_health"),
    "insurance-actuarial/v1": ("actuarial_pricing", "statistics"),
    "model-training/v1": ("model_training", "model_validation"),
}


def scans_of(folder: Path, product: Product, ordinal: int) -> Path:
    """A small archive of a product, made once."""
    archive = Archive(
        patients=product.patients,
        slices=SLICES,
        size=SIZE,
        seed=20250000 + ordinal,
        modality=product.modality,
        body_part=product.body_part,
    )
    return generate(folder / product.name, archive)


def govern(year: Year, folder: Path, *, cohort: int) -> None:
    """Register, upload, seal and govern; workers judge the files meanwhile."""
    for ordinal, product in enumerate(year.plot.products):
        if product.cohort != cohort:
            continue
        made = year.add(product)
        made.asset = made.scene.register()["id"]
        made.raw = made.scene.collect(made.asset, scans_of(folder, product, ordinal))["version"]["id"]
        year["hospital"].post(f"/v1/versions/{made.raw}/governance", key=made.scene.key("govern"))
    year.almanac.work()
    for made in _of(year, cohort):
        made.version = made.scene.govern(made.raw)["version"]["id"]
    year.note("governed", products=len(list(_of(year, cohort))))


def assess(year: Year, *, cohort: int) -> None:
    """The law firm signs an opinion on each."""
    for made in _of(year, cohort):
        made.scene.assess(made.asset, made.version)


def apply(year: Year, *, cohort: int) -> None:
    """The hospital applies for registration of each."""
    for made in _of(year, cohort):
        made.application = made.scene.apply(made.version)


def accept(year: Year, *, cohort: int) -> None:
    """The registrar accepts."""
    for made in _of(year, cohort):
        made.scene.accept(made.application)


def announce(year: Year, *, cohort: int) -> None:
    """The public notice begins."""
    for made in _of(year, cohort):
        made.scene.announce(made.application)


def put_on_list(year: Year, *, cohort: int) -> None:
    """The notice is over: certificates are signed, offers made, reviewed and published."""
    for made in _of(year, cohort):
        made.scene.award(made.application)
        made.listing = made.scene.list(made.version, _offer(year, made.product))["listing"]["id"]
    year.note("listed", products=len(list(_of(year, cohort))))


def capitalise(year: Year) -> None:
    """The hospital carries the cost of some assets in its balance sheet."""
    for made in year.made.values():
        if made.product.held_for is not None:
            asked = {"held_for": made.product.held_for, "expected_sales": 4, "useful_life_months": 36}
            carried = year["hospital"].post(f"/v1/assets/{made.asset}/capitalisation", asked)
            year.note("capitalised", product=made.product.name, cost=carried["cost_minor"])


def stop(year: Year, *, product: str) -> None:
    """The hospital retires an asset for good and ends its contracts: what is carried of it is written off."""
    made, hospital = year.made[product], year["hospital"]
    hospital.post(f"/v1/versions/{made.version}/retirement", {"reason": "quality_defect"})
    for deal in [one for one in year.deals if one.sale.product == product]:
        declare(hospital, deal.agreement(year.now), "termination", reason="quality_defect")
        year.deals.remove(deal)
        year.ended.append(deal)
    year.note("stopped", product=product)


def _of(year: Year, cohort: int) -> Iterator[Made]:
    return (made for made in year.made.values() if made.product.cohort == cohort)


def _offer(year: Year, product: Product) -> dict[str, Any]:
    """What the hospital offers: wide bounds, reports by the quarter; whatever the template's schema knows of them."""
    (terms,) = [one for one in year["hospital"].get("/v1/terms") if one["name"] == product.template]
    bounds = {name: value for name, value in BOUNDS.items() if name in terms["parameters_schema"]["properties"]}
    plan = dict(product.plan)
    if "verifier" in plan:
        plan["verifier"] = year.world.ids[plan["verifier"]]
    body = {
        "template": product.template,
        "parameters": {"purposes": list(PURPOSES[product.template]), **bounds, **product.more},
        "price_plan": plan,
        "term_days": product.term_days,
    }
    if product.private_to:
        body["buyers"] = [year.world.ids[buyer] for buyer in product.private_to]
    return body
