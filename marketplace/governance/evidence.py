"""The two documents a governance record rests on beside the quality card: the report, and the record itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from marketplace.assets.models import Version
from marketplace.assets.schemas import EvidenceItem
from marketplace.governance.leaks import REASON
from marketplace.governance.models import GovernanceJob, GovernedFile
from marketplace.governance.profile import METHOD_CODES
from marketplace.kernel.canonical import Json


def deidentification_report(job: GovernanceJob, results: Sequence[GovernedFile]) -> Json:
    """What was done to the files, by action code, and which were held back and why; no value of any element."""
    actions = Counter[str]()
    held: dict[str, list[str]] = {}
    for one in results:
        if one.reason is None:
            actions.update(one.actions)
        else:
            held.setdefault(one.reason, []).append(one.raw)
    tags = Counter(str(one.tag) for one in results if one.reason == REASON)
    return {
        "v": 1,
        "type": "deidentification-report",
        "job": job.id,
        "asset": job.asset_id,
        "raw_version": job.raw_version_id,
        "profile": {"standard": "DICOM PS3.15 Annex E", "sha256": job.profile},
        "method_codes": [{"code": code, "meaning": meaning} for code, meaning in METHOD_CODES],
        "not_claimed": ["113101 clean pixel data", "113102 recognizable visual features", "113105 clean descriptors"],
        "files": {"judged": len(results), "governed": sum(one.reason is None for one in results)},
        "actions": dict(sorted(actions.items())),
        "leak_scan": {
            "files": sum(one.reason is None or one.reason == REASON for one in results),
            "held_back": sum(tags.values()),
            "tags": dict(sorted(tags.items())),
            "left": 0,
        },
        "held_back": {reason: sorted(held[reason]) for reason in sorted(held)},
        "declaration": job.declaration,
    }


def governance_record(
    job: GovernanceJob,
    version: Version,
    raw: Version,
    evidence: Sequence[EvidenceItem],
    held_back: Counter[str],
    *,
    signer: str,
) -> Json:
    """The document the provider signs to take the version to `governed`."""
    return {
        "v": 1,
        "type": "governance-record",
        "stage": "governed",
        "job": job.id,
        "asset": version.asset_id,
        "version": version.id,
        "version_root": version.root,
        "parent": raw.id,
        "parent_root": raw.root,
        "manifest": version.manifest,
        "files": version.files,
        "records": version.records,
        "bytes": str(version.bytes),
        "evidence": [item.model_dump() for item in evidence],
        "method_codes": [code for code, _ in METHOD_CODES],
        "held_back": dict(sorted(held_back.items())),
        "declaration": job.declaration,
        "signer": signer,
    }
