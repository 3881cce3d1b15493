"""The two plots: the whole year, and a short one of the same kinds of deeds for tests."""

from __future__ import annotations

from typing import Any

from seeds.year.plot import Act, Plot, Product, Sale

RADIOLOGY, CARDIOLOGY, ORTHOPAEDICS, ONCOLOGY = "放射科", "心内科", "骨科", "肿瘤科"
FREE = {"kind": "one_off", "price_fen": 0, "regime": "free"}
RESULTS: dict[str, Any] = {
    "kind": "results",
    "price_fen": 20_000_000,
    "deposit_fen": 2_000_000,
    "kpi": "sensitivity",
    "baseline_permille": 880,
    "target_permille": 930,
    "window_days": 120,
    "verifier": "institute",  # by name: the telling puts the participant's id in
}
EVALUATED = {"evaluation_days": 360, "result_share_percent": 8, "result_years": 5}
WHOLESALE = {"kind": "one_off", "price_fen": 5_000_000}
BUYOUT = {"kind": "buyout", "price_fen": 30_000_000}
PER_USE = {
    "kind": "per_use", "price_fen": 90_000, "access_fen": 1_000_000, "trial_units": 2,
    "monthly_minimum_fen": 150_000, "monthly_cap_fen": 400_000,
}  # fmt: skip
PER_CALL = {
    "kind": "per_call", "price_fen": 12_000,
    "tiers": [{"above": 3, "price_fen": 9_000}, {"above": 8, "price_fen": 6_000}],
}  # fmt: skip
PER_CASE = {
    "kind": "per_case", "price_fen": 65_000, "access_fen": 500_000,
    "tiers": [{"above": 4, "price_fen": 55_000}], "tier_mode": "volume",
}  # fmt: skip
PER_SCAN = {"kind": "per_scan", "price_fen": 40_000, "monthly_minimum_fen": 120_000, "monthly_cap_fen": 200_000}
PER_GIGABYTE = {"kind": "per_gb", "price_fen": 90_000_000, "regime": "guided_cap", "cap_fen": 100_000_000}
HYBRID = {"kind": "hybrid", "access_fen": 2_000_000, "price_fen": 30_000, "measure": "case"}
COST_ONLY = {"kind": "one_off", "price_fen": 2_300_000, "regime": "cost_only", "cost_fen": 2_300_000}


def _subscription(days: int, fen: int) -> dict[str, Any]:
    return {"kind": "subscription", "price_fen": fen, "period_days": days}


def _stages(cohort: int, days: tuple[str, str, str, str, str, str]) -> tuple[Act, ...]:
    """A cohort's way to the catalogue: collected and governed, assessed, applied for, accepted, announced, listed."""
    deeds = ("govern", "assess", "apply", "accept", "announce", "list")
    return tuple(Act(day, deed, {"cohort": cohort}) for day, deed in zip(days, deeds, strict=True))


YEAR = Plot(
    months=12,
    late="second_insurer",
    pays_from="06-01",
    products=(
        Product("nodules", "CT", "CHEST", RADIOLOGY, 8, "product-development/v1", WHOLESALE),
        Product("atlas", "CT", "CHEST", RADIOLOGY, 8, "buyout/v1", BUYOUT),
        Product("liver", "CT", "LIVER", RADIOLOGY, 6, "buyout/v1", BUYOUT | {"exclusive": True},
                private_to=("ai_company",)),
        Product("knees", "MR", "KNEE", ORTHOPAEDICS, 6, "subscription/v1", _subscription(180, 1_200_000),
                term_days=180),
        Product("spines", "MR", "LSPINE", ORTHOPAEDICS, 6, "per-case/v1", PER_USE),
        Product("screening", "CR", "CHEST", RADIOLOGY, 8, "per-case/v1", PER_CASE),
        Product("emergency", "CR", "HAND", ORTHOPAEDICS, 6, "per-case/v1", PER_SCAN),
        Product("triage", "CT", "ABDOMEN", RADIOLOGY, 6, "per-case/v1", PER_CALL),
        Product("tracer", "PT", "CHEST", ONCOLOGY, 6, "per-case/v1", PER_GIGABYTE),
        Product("hearts", "CT", "HEART", CARDIOLOGY, 6, "per-case/v1", HYBRID),
        Product("stenosis", "CT", "CORONARYARTERY", CARDIOLOGY, 6, "results-based/v1", RESULTS,
                EVALUATED, cohort=1),
        Product("fibrosis", "CT", "LUNG", RADIOLOGY, 6, "results-based/v1", RESULTS, EVALUATED, cohort=1),
        Product("genome", "CT", "PANCREAS", ONCOLOGY, 6, "research-use/v1", COST_ONLY, genomic=True, cohort=1),
        Product("open", "CR", "FOOT", ORTHOPAEDICS, 6, "open-data/v1", FREE, cohort=1),
        Product("cohorts", "CT", "THORAX", RADIOLOGY, 24, "insurance-actuarial/v1", WHOLESALE,
                {"min_group_size": 10, "table_by": ["patient_sex", "age_band"]}, cohort=1),
        Product("training", "MR", "PELVIS", ONCOLOGY, 6, "model-training/v1", WHOLESALE,
                held_for="own_use", cohort=1),
        Product("withdrawn", "CT", "KIDNEY", RADIOLOGY, 6, "product-development/v1", WHOLESALE,
                held_for="own_use", cohort=1),
        Product("joints", "CR", "KNEE", ORTHOPAEDICS, 6, "research-use/v1", WHOLESALE | {"price_fen": 3_000_000},
                held_for="sale", cohort=1),
        Product("automatic", "CR", "CHEST", RADIOLOGY, 6, "model-training/v1",
                WHOLESALE | {"price_fen": 2_500_000}, cohort=1),
        Product("unsold", "PT", "BREAST", ONCOLOGY, 6, "product-development/v1", WHOLESALE, cohort=1),
    ),
    sales=(
        Sale("nodules", "pharma", "03-03", (0, 2)),
        Sale("nodules", "second_pharma", "04-07", (0, 2), "countered"),
        Sale("nodules", "second_ai", "06-09", (0, 1)),
        Sale("atlas", "pharma", "03-10", (0, 2)),
        Sale("liver", "ai_company", "04-14", (1, 2)),
        Sale("knees", "institute", "03-17", (1, 3)),
        Sale("spines", "second_ai", "03-18", (0, 7)),
        Sale("screening", "ai_company", "03-19", (1, 2)),
        Sale("screening", "second_pharma", "05-06", (0, 2)),
        Sale("emergency", "second_insurer", "03-20", (0, 2)),
        Sale("triage", "second_ai", "04-01", (2, 10)),
        Sale("tracer", "ai_company", "04-02", (1, 2)),
        Sale("hearts", "pharma", "04-03", (1, 2)),
        Sale("stenosis", "ai_company", "05-08", (1, 1)),
        Sale("fibrosis", "pharma", "05-09", (0, 1)),
        Sale("genome", "second_institute", "05-12", (0, 2)),
        Sale("genome", "institute", "07-21", (0, 1)),
        Sale("open", "institute", "05-13", (0, 2)),
        Sale("open", "second_institute", "05-14", (0, 1)),
        Sale("cohorts", "insurer", "05-15", (0, 1)),
        Sale("cohorts", "second_insurer", "05-16", (0, 1), "countered"),
        Sale("training", "ai_company", "05-19", (0, 2)),
        Sale("withdrawn", "second_ai", "05-20", (0, 2)),
        Sale("joints", "institute", "05-21", (0, 2), "offered"),
        Sale("joints", "second_institute", "06-23", (0, 2)),
        Sale("automatic", "ai_company", "06-02", (0, 1), "ruled"),
        Sale("automatic", "pharma", "07-07", (0, 1), "ruled"),
        Sale("automatic", "second_pharma", "08-04", (0, 1), "ruled"),
    ),
    acts=(
        Act("01-02", "settle_in"),
        Act("02-16", "look_for", {"buyers": ("pharma", "ai_company", "insurer", "institute")}),
        *_stages(0, ("01-03", "01-10", "01-13", "01-14", "01-15", "02-14")),
        *_stages(1, ("03-04", "03-11", "03-12", "03-13", "03-14", "04-16")),
        Act("05-05", "look_for", {"buyers": ("second_pharma", "second_ai", "second_insurer", "second_institute")}),
        Act("04-22", "cancel_stages"),
        Act("05-05", "capitalise"),
        Act("06-16", "correct_tariff", {"kind": "governance.scan", "fen": 5_800}),
        Act("07-14", "amend", {"product": "training", "buyer": "ai_company", "price_fen": 6_500_000}),
        Act("08-11", "oversell", {"product": "genome", "buyer": "second_institute"}),
        Act("08-18", "renew", {"product": "knees", "buyer": "institute"}),
        Act("09-15", "declare", {"product": "stenosis", "buyer": "ai_company", "permille": 925}),
        Act("09-17", "declare", {"product": "fibrosis", "buyer": "pharma", "permille": 910}),
        Act("09-19", "dispute", {"product": "stenosis", "buyer": "ai_company", "by": "hospital"}),
        Act("09-24", "declare", {"product": "stenosis", "buyer": "ai_company", "permille": 934}),
        Act("09-29", "stop", {"product": "withdrawn"}),
        Act("10-13", "credit_use", {"product": "triage", "buyer": "second_ai"}),
    ),
)  # fmt: skip

SHORT = Plot(
    months=5,
    late="ai_company",
    pays_from="04-18",
    products=(
        Product("nodules", "CT", "CHEST", RADIOLOGY, 4, "product-development/v1", WHOLESALE),
        Product("spines", "MR", "LSPINE", ORTHOPAEDICS, 4, "per-case/v1", PER_USE),
        Product("withdrawn", "CR", "CHEST", RADIOLOGY, 4, "model-training/v1", WHOLESALE, held_for="own_use"),
        Product("stenosis", "CT", "HEART", CARDIOLOGY, 4, "results-based/v1", RESULTS | {"window_days": 60},
                EVALUATED),
    ),
    sales=(
        Sale("nodules", "pharma", "02-17", (1, 2), "countered"),
        Sale("spines", "ai_company", "02-18", (4, 7)),
        Sale("withdrawn", "ai_company", "02-19", (0, 1), "ruled"),
        Sale("stenosis", "pharma", "02-20", (1, 1)),
        Sale("nodules", "second_pharma", "02-21", (0, 1)),
    ),
    acts=(
        Act("01-02", "settle_in"),
        Act("02-16", "look_for", {"buyers": ("pharma", "ai_company")}),
        *_stages(0, ("01-03", "01-10", "01-13", "01-14", "01-15", "02-14")),
        Act("02-15", "capitalise"),
        Act("02-22", "cancel_stages"),
        Act("03-14", "correct_tariff", {"kind": "governance.scan", "fen": 5_800}),
        Act("03-17", "amend", {"product": "nodules", "buyer": "pharma", "price_fen": 6_500_000}),
        Act("04-22", "declare", {"product": "stenosis", "buyer": "pharma", "permille": 925}),
        Act("04-23", "dispute", {"product": "stenosis", "buyer": "pharma", "by": "hospital"}),
        Act("04-24", "declare", {"product": "stenosis", "buyer": "pharma", "permille": 934}),
        Act("05-12", "credit_use", {"product": "spines", "buyer": "ai_company"}),
        Act("05-19", "stop", {"product": "withdrawn"}),
    ),
)  # fmt: skip
