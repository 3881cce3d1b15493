"""A collected raw version made of given files, and a relay that runs governance work only."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace.assets import service as assets
from marketplace.assets.models import Version, VersionFile
from marketplace.assets.schemas import AssetRegistration
from marketplace.assets.stages import Stage
from marketplace.audit import documents
from marketplace.audit.tree import root_hash
from marketplace.governance.models import GovernanceJob
from marketplace.governance.service import ask
from marketplace.participants import signatures
from marketplace.plumbing import outbox
from tests.house import House
from workers.tasks.governance import TASKS

REGISTRATION = AssetRegistration(
    name="胸部CT示例数据集",
    name_en="Chest CT example set",
    overview="示例",
    overview_en="An example",
    region="华东",
    time_from="2020-01-01",
    time_to="2024-12-31",
    modality="CT",
    body_part="CHEST",
    is_example=True,
)


def collected(house: House, bodies: Sequence[bytes], *, asset_id: str | None = None) -> Version:
    """A raw version whose collection record the hospital has signed."""
    hospital = house.cast["hospital"]
    now = house.clock.now()
    stored = [house.runtime.store.put([body], limit=1 << 30) for body in bodies]
    with house.db() as db:
        from marketplace.assets.models import Asset

        asset = db.get(Asset, asset_id) if asset_id else assets.register(db, hospital.actor, REGISTRATION, now)
        assert asset is not None
        version = assets.open_version(db, asset, now, kind="raw")
        for position, one in enumerate(stored):
            db.add(
                VersionFile(
                    version_id=version.id,
                    position=position,
                    path=f"raw/{position}.dcm",
                    sha256=one.sha256,
                    bytes=one.size,
                    study="1.2.3",
                )
            )
        version.files = len(stored)
        version.root = root_hash([one.sha256.encode() for one in stored]).hex()
        document = documents.keep(db, "collection-record", {"version": version.id, "root": version.root}, now)
        jws = hospital.key.sign_detached(documents.get(db, document).body, typ="collection-record+jws")
        signature = signatures.accept(db, hospital.id, document, jws, typ="collection-record+jws", now=now)
        assets.advance(
            db,
            hospital.actor,
            version,
            Stage.COLLECTED,
            now,
            signature=signature,
            document=document,
            evidence=[],
            outcome="accepted",
        )
        db.flush()
        return version


def start(house: House, version: Version) -> GovernanceJob:
    """Ask for a job as the hospital."""
    with house.db() as db:
        return ask(db, house.cast["hospital"].actor, version.id, house.clock.now())


def due(house: House) -> list[tuple[str, str, dict[str, object]]]:
    """Governance rows that wait: id, task, args."""
    with house.runtime.database.reading() as db:
        ids = outbox.due_rows(db, house.clock.now(), limit=1000)
        rows = [db.get_one(outbox.OutboxRow, one) for one in ids]
        return [(row.id, row.task, dict(row.args)) for row in rows if row.task in TASKS]


def run_all(house: House) -> None:
    """Run governance work until none waits."""
    while waiting := due(house):
        for row_id, task, args in waiting:
            TASKS[task](house.runtime, args)
            with house.db() as db:
                outbox.finish(db, row_id, house.clock.now())
