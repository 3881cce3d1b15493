"""The integrator's round; nothing here is asked for by an outbox row, the relay calls it at its interval."""

from __future__ import annotations

from marketplace.audit.processes import LogProcesses
from marketplace.audit.service import Round, integrate
from marketplace.plumbing.runtime import Runtime


def integrate_once(runtime: Runtime, log: LogProcesses) -> Round:
    """Bring waiting entries into the tree and have its head cosigned; safe to run twice and in several processes.

    Raises LogSilent or LogRefused: entries stay integrated and the next round signs them.
    """
    log.tend()
    return integrate(runtime.database, log.client, runtime.clock.now())
