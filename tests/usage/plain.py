"""Files of any bytes in a version, for tests and harnesses that need length and not DICOM."""

from __future__ import annotations

from sqlmodel import func, select

from marketplace.assets.models import VersionFile
from tests.house import House


def add_file(house: House, version: str, path: str, content: bytes) -> None:
    """Store a file and add it to a version behind everybody's back."""
    stored = house.runtime.store.put([content], limit=len(content))
    with house.arrange() as db:
        position = db.exec(select(func.count()).where(VersionFile.version_id == version)).one()
        db.add(
            VersionFile(
                version_id=version,
                position=position,
                path=path,
                sha256=stored.sha256,
                bytes=stored.size,
                study="0",
            )
        )
