"""`python -m marketplace.audit.verifier FILE… [--log-key K] [--witness-key K] [--json]`.

Ends with 0 when everything holds, 1 when something does not, 2 when a file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from marketplace.audit.verifier.bundle import MAX_BYTES
from marketplace.audit.verifier.checks import verify
from marketplace.audit.verifier.report import Report


def main(arguments: list[str] | None = None) -> int:
    """Check the files named and print what was found; returns the exit code."""
    parser = argparse.ArgumentParser(prog="verify", description="Check exported bundles offline, trusting nobody.")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--log-key", help="verifier key of the log, from a source you trust")
    parser.add_argument("--witness-key", help="verifier key of the witness, from a source you trust")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of plain words")
    options = parser.parse_args(arguments)
    reports = [_verify_file(name, options.log_key, options.witness_key) for name in options.files]
    code = max(report.exit_code for report in reports)
    if options.json:
        text = json.dumps({"ok": code == 0, "files": [report.as_json() for report in reports]}, indent=2)
    else:
        text = "\n".join(report.plain() for report in reports)
    sys.stdout.write(f"{text}\n")
    return code


def _verify_file(name: str, log_key: str | None, witness_key: str | None) -> Report:
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return Report(name, unreadable=error.strerror or "cannot be opened")
    return verify(name, data, log_key, witness_key)


if __name__ == "__main__":
    sys.exit(main())
