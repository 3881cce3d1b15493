"""What lies around the tests changes nothing in them: another terminal, a build server, an operator's own settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS_OF_A_COMMAND = "tests/commands/test_trace.py::test_without_anything_to_compare_with_nothing_is_said"
A_HOUSE = "tests/client/test_api_client.py::test_a_signature_of_another_kind_is_not_accepted"
AROUND = {
    "COLUMNS": "30",
    "FORCE_COLOR": "1",
    "GITHUB_ACTIONS": "true",
    "TERMINAL_WIDTH": "30",
    "MARKETPLACE_LIMIT_CONNECTIONS": "none",
}


def test_a_narrow_coloured_terminal_and_settings_of_an_operator_change_no_test(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "run")]
    done = subprocess.run(
        [*command, WORDS_OF_A_COMMAND, A_HOUSE],
        cwd=ROOT,
        env=os.environ | AROUND,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
