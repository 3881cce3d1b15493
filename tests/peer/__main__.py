"""`make peer`: a real Eclipse EDC buys from us and sells to us, every step by name, on SQLite and on PostgreSQL.

Exit code 0 when every step passed, 1 when one failed, 2 when no control plane can be had here.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from pathlib import Path

from tests.peer import artifacts
from tests.peer.buying import ASSET, buy
from tests.peer.controlplane import ControlPlane, running
from tests.peer.market import IDENTIFIER, opened
from tests.peer.plane import DataPlane, serving
from tests.peer.selling import sell
from tests.peer.steps import Steps, Stopped
from tests.servers import initdb_path, postgresql

_BYTES = 300_000


def main(asked: str = artifacts.ASKED) -> int:
    """Run both directions on both databases; returns the exit code.  asked: the version of EDC to look for first."""
    try:
        made, passed_over = artifacts.classes(asked)
    except artifacts.NoPeer as error:
        print(f"peer: {error}", file=sys.stderr)
        return 2
    for line in passed_over:
        print(f"passed over {line}")
    print(f"the peer is Eclipse EDC {made.version}, the newest to be had here among those tried")
    folder = Path(tempfile.mkdtemp(prefix="mkt-peer-"))
    runs = [Steps("SQLite: "), Steps("PostgreSQL: ")]
    with running(made, folder, IDENTIFIER) as peer, serving(secrets.token_bytes(_BYTES)) as plane:
        peer.register_data_plane(f"{plane.url}/dataflows")
        peer.offer(ASSET)
        _both_ways(runs[0], folder / "sqlite", peer, plane, made.version)
        if initdb_path() is None:
            runs[1].say("skipped", "both directions", "PostgreSQL is not installed")
        else:
            with postgresql() as url:
                _both_ways(runs[1], folder / "postgresql", peer, plane, made.version, url)
    ended = {name: sum(one.ended[name] for one in runs) for name in ("passed", "failed", "skipped")}
    print(", ".join(f"{count} {name}" for name, count in ended.items()) + f" with Eclipse EDC {made.version}; {folder}")
    return 0 if ended["passed"] and not ended["failed"] else 1


def _both_ways(
    steps: Steps, folder: Path, peer: ControlPlane, plane: DataPlane, version: str, database_url: str = ""
) -> None:
    folder.mkdir()
    with opened(folder, peer, version, database_url) as market:
        for way in (sell, buy):
            try:
                way(steps, market, peer, plane)
            except Stopped:
                continue


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
