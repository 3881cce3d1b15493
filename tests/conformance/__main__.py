"""`make conformance`: the Eclipse Dataspace TCK against the service in the conformance mode, every test by name.

Exit code 0 only when all 65 enabled tests passed; 2 when the kit cannot be had here.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.conformance import kit
from tests.conformance.serving import served
from tests.servers import free_port


def main(only: str = "") -> int:
    """Run the kit; returns the exit code.  only: an expression for names, to run a few tests."""
    try:
        found = kit.had()
    except kit.NoKit as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    print(f"kit {found.version}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="mkt-conformance-"))
    ended: Counter[str] = Counter()
    callback_port = free_port()
    with served(folder, free_port(), callback_port) as service:
        told = kit.properties(
            root=service.root, base=service.base, participant=service.participant, callback_port=callback_port
        )
        for verdict in kit.run(found.classes, told, folder, only):
            ended[verdict.ended] += 1
            print(f"{verdict.ended:8} {verdict.name}  {verdict.words}", flush=True)
    print(f"{ended['passed']} passed, {ended['failed']} failed, {ended['skipped']} skipped; logs in {folder}")
    complete = bool(only) or ended["passed"] == kit.ENABLED
    return 0 if complete and not ended["failed"] and ended["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
