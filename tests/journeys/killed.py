"""`python -m tests.journeys.killed N ARGUMENTS…`: the `marketplace` command, killed at the moment of its N-th commit.

The transaction at hand is lost and all before it stay: one of every way in which a crash can part the work in two.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys

from sqlalchemy import Engine, event

from marketplace.cli import main


def die_at_commit(number: int) -> None:
    """Arm this process.  number: from 1; more than there are kills nothing."""
    counted = itertools.count(1)

    def commit(_connection: object) -> None:
        if next(counted) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "commit", commit)


if __name__ == "__main__":
    die_at_commit(int(sys.argv.pop(1)))
    main()
