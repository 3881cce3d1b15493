"""`python -m marketplace.audit.verifier FILE… [--log-key K]… [--witness-key K]… [--json]`.

A file is a bundle, a proof file, an entry's text beside it, a checkpoint, or receipts; its content tells which.
Ends with 0 when everything holds, 1 when something does not, 2 when a file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from marketplace.audit.verifier.bundle import MAX_BYTES
from marketplace.audit.verifier.files import verify_all


def main(arguments: list[str] | None = None) -> int:
    """Check the files named and print what was found; returns the exit code."""
    parser = argparse.ArgumentParser(prog="verify", description="Check evidence files offline, trusting nobody.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="bundle, proof file, entry text, checkpoint, receipts")
    parser.add_argument("--log-key", action="append", default=[], help="verifier key of the log, from a trusted source")
    parser.add_argument("--witness-key", action="append", default=[], help="verifier key of the witness, likewise")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of plain words")
    options = parser.parse_args(arguments)
    files = [(name, _read(name)) for name in options.files]
    reports = verify_all(files, tuple(options.log_key), tuple(options.witness_key))
    code = max(report.exit_code for report in reports)
    if options.json:
        text = json.dumps({"ok": code == 0, "files": [report.as_json() for report in reports]}, indent=2)
    else:
        text = "\n".join(report.plain() for report in reports)
    sys.stdout.write(f"{text}\n")
    return code


def _read(name: str) -> bytes | str:
    """The content of a file, or in words why it cannot be read."""
    try:
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        return error.strerror or "cannot be opened"


if __name__ == "__main__":
    sys.exit(main())
