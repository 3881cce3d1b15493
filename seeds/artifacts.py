"""The files that an outsider needs to check the story without us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Name in the result -> kind of the signed document inside the bundle.
DOCUMENTS = {
    "agreement": "agreement",
    "opinion": "opinion",
    "certificate": "certificate",
    "manifest": "delivery-manifest",
}


def write_artifacts(folder: Path, bundle: dict[str, Any]) -> dict[str, str]:
    """Write each signed document of the bundle as a file of its own: exact body text, signatures, public keys.

    Returns name -> file in the folder; the bundle and the served bytes already lie there.
    """
    names = {"bundle": "bundle.json", "served": "served.tar"}
    for name, kind in DOCUMENTS.items():
        found = [one for one in bundle["documents"] if one["kind"] == kind]
        assert len(found) == 1, f"expected one {kind} in the bundle, got {len(found)}"
        (folder / f"{name}.json").write_text(json.dumps(found[0], ensure_ascii=False, indent=2) + "\n")
        names[name] = f"{name}.json"
    return names
