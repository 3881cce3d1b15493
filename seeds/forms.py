"""What the invented hospital writes into its forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHEST_CT: dict[str, Any] = {
    "name": "2025华东胸部CT肺癌筛查影像数据集",
    "name_en": "East China chest CT lung cancer screening set 2025 (example)",
    "overview": "虚构示例：一千名受检者的胸部CT，已去标识化，用于肺癌筛查算法研发与验证。",
    "overview_en": "Invented example: de-identified chest CT of 1,000 patients, for lung cancer research.",
    "industry": "Q84",
    "source_kind": "self_collected",
    "region": "华东",
    "time_from": "2025-01-01",
    "time_to": "2025-12-31",
    "update_frequency": "on_demand",
    "modality": "CT",
    "body_part": "CHEST",
    "keywords": ["肺癌", "胸部CT", "筛查", "lung cancer", "screening"],
    "department": "放射科",
    "is_example": True,
}

OFFER: dict[str, Any] = {
    "template": "product-development/v1",
    "parameters": {
        "purposes": ["product_development", "model_validation"],
        "max_uses": 2,
        "max_bytes": "50000000000",
        "deletion_days": 30,
        "report_days": 90,
    },
    "price_plan": {"kind": "one_off", "price_fen": 5_000_000},
    "delivery_mode": "download",
    "term_days": 365,
}

# A second offer on the same version whose term ends within the story, to show what happens afterwards.
SHORT_OFFER: dict[str, Any] = OFFER | {"price_plan": {"kind": "one_off", "price_fen": 2_000_000}, "term_days": 3}


def folder_form(source: Path) -> dict[str, Any]:
    """The form for any folder of DICOM files."""
    return CHEST_CT | {
        "name": "示例影像文件夹数据集",
        "name_en": f"Imaging folder {source.name[:80]} (example)",
        "overview": "虚构示例：来自一个文件夹的医学影像，已去标识化。",
        "overview_en": "Example: medical images from one folder, de-identified.",
        "modality": "mixed",
        "body_part": "mixed",
        "keywords": ["影像", "imaging"],
    }
