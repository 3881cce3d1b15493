"""The delivery manifest: the signed document that names every file that leaves, and where each came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from marketplace.assets.models import Asset, Version
from marketplace.audit import documents
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.kernel.signing import SigningKey
from marketplace.negotiation.models import Agreement
from marketplace.participants.signatures import sign_as_service
from marketplace.transfer.body import Part
from marketplace.transfer.marks import PLACES, Mark
from marketplace.transfer.plan import Plan

KIND = "delivery-manifest"


@dataclass(frozen=True)
class DeliveredFile:
    """A file that leaves, and the file of the version it was made from; None for a file of ours."""

    part: Part
    source_path: str | None
    source_sha256: str | None


def render(
    plan: Plan, files: Sequence[DeliveredFile], *, mark: Mark | None, tar: tuple[str, int], now: datetime
) -> Json:
    """The manifest of a delivery.  files: in order of path; tar: SHA-256 and size of the tar of exactly these files."""
    agreement, version = plan.agreement, plan.version
    return {
        "type": KIND,
        "v": 2,
        "agreement": {"id": agreement.id, "sha256": agreement.document},
        "asset": agreement.asset_id,
        "version": {"id": version.id, "root": version.root},
        "provider": agreement.provider_id,
        "buyer": agreement.buyer_id,
        "files": [
            {
                "path": one.part.path,
                "sha256": one.part.sha256,
                "bytes": one.part.bytes,
                "source_path": one.source_path,
                "source_sha256": one.source_sha256,
            }
            for one in files
        ],
        "output": plan.output,
        "records": plan.records,
        "smallest_group": plan.smallest_group,
        "withheld": [one.as_json() for one in plan.selection.withheld],
        "transformations": plan.leaving.applied(),
        "hidden": sorted(plan.hidden),
        "mark": {"tag": mark.tag, "places": list(PLACES), "pixels": "unchanged"} if mark else None,
        "obligations": plan.duties,
        "tar": {"sha256": tar[0], "bytes": tar[1]},
        "made_at": timestamp(now),
    }


def keep_signed(db: Session, manifest: Json, agreement: Agreement, key: SigningKey, now: datetime) -> str:
    """Keep a manifest with the service's own signature; both parties may read it.  Returns its SHA-256."""
    name = documents.keep(db, KIND, manifest, now, readers=(agreement.provider_id, agreement.buyer_id))
    return sign_as_service(db, name, key, now=now)


def notice(
    agreement: Agreement, asset: Asset, version: Version, provider_name: str, uses: Json, mark: Mark | None
) -> bytes:
    """NOTICE.txt: whose data this is, under which contract, for what; Chinese and English.

    uses: compiled uses, as in the facts of a decision; mark: of the delivery, if it bears one.
    """
    constraints = [one for permission in uses["permissions"] for one in permission["constraints"]]
    purposes = sorted({value for one in constraints if one["left"] == "purpose" for value in one["values"]})
    duties = sorted({duty["action"] for permission in uses["permissions"] for duty in permission["duties"]})
    prohibited = sorted({one["action"] for one in uses["prohibitions"]})
    lines = [
        f"数据来源 / Source: {provider_name}",
        f"数据资产 / Asset: {asset.name} / {asset.name_en} ({asset.id})",
        f"版本根值 / Version root (SHA-256, RFC 9162): {version.root}",
        f"合同 / Agreement: {agreement.id}",
        f"合同文本 / Agreement document (SHA-256): {agreement.document}",
        f"许可用途 / Permitted purposes: {', '.join(purposes)}",
        f"义务 / Duties: {', '.join(duties) or '-'}",
        f"禁止 / Prohibited: {', '.join(prohibited) or '-'}",
        f"有效期至 / Ends: {timestamp(agreement.ends_at)}",
        *([f"水印 / Mark: {mark.text}"] if mark else []),
        "以已签署的合同文本为准。 The signed agreement document prevails.",
    ]
    return ("\n".join(lines) + "\n").encode()
