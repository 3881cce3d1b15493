"""The law firm's 24 findings for an invented asset: machine results where they exist, example papers for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seeds.stages import Scene

# Items that do not apply to chest CT of a hospital's own patients, sold inside China; the reason stands in the opinion.
NOT_APPLICABLE = {
    5: "the provider collected the data itself",
    6: "no public-data operation",
    15: "no foreign-controlled party and no export",
    17: "no sponsor, trial or vendor contract touches the data",
}

# The checklist's kinds that the stages before answer by themselves -> the kind they are kept under.
MACHINE = {
    "collection_record": "collected_record",
    "governance_record": "governed_record",
    "deid_report": "deidentification_report",
    "quality_card": "quality_card",
}


def findings_of(scene: Scene, asset: str, version: str) -> list[dict[str, Any]]:
    """One finding for each item of the checklist, citing evidence that is kept for the version."""
    firm = scene.world["law_firm"]
    items = firm.get("/v1/checklist")["content"]["items"]
    _add_papers(scene, asset, items)
    kept = firm.get(f"/v1/versions/{version}/evidence")["items"]
    by_kind: dict[str, list[str]] = {}
    for paper in kept:
        by_kind.setdefault(paper["kind"].replace("-", "_"), []).append(paper["sha256"])
    return [_finding(item, by_kind) for item in items]


def _finding(item: dict[str, Any], by_kind: dict[str, list[str]]) -> dict[str, Any]:
    if item["number"] in NOT_APPLICABLE:
        return {"item": item["number"], "result": "not_applicable", "note": NOT_APPLICABLE[item["number"]]}
    cited = [sha for kind in item["evidence"] for sha in by_kind.get(MACHINE.get(kind, kind), [])[:1]]
    return {"item": item["number"], "result": "met", "note": "seen and sufficient (example)", "evidence": cited}


def _add_papers(scene: Scene, asset: str, items: list[dict[str, Any]]) -> None:
    """The hospital hands in one example paper for each applicable item that no machine result answers."""
    for item in items:
        if item["number"] in NOT_APPLICABLE or MACHINE.keys() & set(item["evidence"]):
            continue
        kind = item["evidence"][0]
        scene.world["hospital"].post(
            "/v1/evidence",
            {
                "asset": asset,
                "kind": kind,
                "title": f"示例 example: {kind.replace('_', ' ')} (item {item['number']})",
                "text": f"Example paper for checklist item {item['number']}: {item['text']['en']}.",
            },
            key=scene.key(f"paper-{item['number']}"),
        )
