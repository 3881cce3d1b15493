"""Programs of other projects that keep books."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def tool(name: str) -> str:
    """Beside this Python or on the path; the test is skipped and says so where it is absent."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here: the books are not read by it")
    return found


def run(name: str, *words: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The program, ended, in a language that knows Chinese names."""
    environment = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    command = [tool(name), *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
