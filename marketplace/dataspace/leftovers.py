"""What came of a push is thrown away once that is over: the bytes of one that broke off, or that the store has."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from marketplace.dataspace import queries
from marketplace.dataspace.receiving import inbox_folder
from marketplace.plumbing.runtime import Runtime

_AT_ONCE: Final = 500


def sweep_parts(runtime: Runtime) -> int:
    """Remove the files of pushes whose transfer has ended or whose data lies in the object store; returns how many.

    Both are for ever, so nothing is lost by a crash and a second run finds the rest.  A file that a request still
    writes waits for the next run; that of a transfer which is suspended, or that nobody here knows, stays.
    """
    folder = inbox_folder(runtime)
    names = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
    removed = 0
    for some in (names[at : at + _AT_ONCE] for at in range(0, len(names), _AT_ONCE)):
        with runtime.database.reading() as db:
            over = queries.received(db, some)
        removed += sum(_removed(folder / name) for name in over)
    return removed


def _removed(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
