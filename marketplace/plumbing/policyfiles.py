"""The policies and static data of a folder or of a bundle: their texts, their revision, an engine with them loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Self

from regorus import Engine  # type: ignore[attr-defined]


class PolicyFiles:
    """The policies and static data of a folder, read once; tests (`*_test.rego`) are left out.

    texts: by path inside the folder, in order of path.
    """

    def __init__(self, folder: Path) -> None:
        names = [path for path in folder.rglob("*") if path.suffix == ".rego" or path.name == "data.json"]
        kept = sorted(path for path in names if not path.name.endswith("_test.rego"))
        self.texts = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in kept}

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Self:
        """The same of texts by path."""
        made = cls.__new__(cls)
        made.texts = dict(sorted(texts.items()))
        return made

    @property
    def revision(self) -> str:
        """SHA-256 over names and contents in order of name."""
        running = hashlib.sha256()
        for name, text in self.texts.items():
            for part in (name.encode(), text.encode()):
                running.update(len(part).to_bytes(8) + part)
        return running.hexdigest()

    @property
    def roots(self) -> list[str]:
        """The top-level names that the files define under `data`, in order."""
        return sorted({PurePosixPath(name).parts[0] for name in self.texts})

    def load(self) -> Engine:
        """A fresh engine with everything loaded.  Raises RuntimeError for a policy that does not compile."""
        engine = Engine()
        for name, text in self.texts.items():
            if name.endswith(".rego"):
                engine.add_policy(name, text)
            else:
                engine.add_data_json(_nested(name, text))
        return engine


def _nested(name: str, text: str) -> str:
    """Data of `a/b/data.json` lies at `data.a.b`, as in OPA."""
    value = json.loads(text)
    for part in reversed(PurePosixPath(name).parent.parts):
        value = {part: value}
    return json.dumps(value)
