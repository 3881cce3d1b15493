"""Signer and witness as processes of their own that need not start anew: each is forked from one that has all modules.

Two new interpreters cost more than most tests of the log.  That the service itself starts, tends and ends its children
is tested with its own `LogProcesses`.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import cast

from marketplace.audit import signer, witness
from marketplace.audit.processes import LogProcesses

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([signer.__name__, witness.__name__, __name__])
_MAIN = {"signer": signer.main, "witness": witness.main}


class HatchedProcesses(LogProcesses):
    """The same processes with the same arguments, forked from a process that has read their code already."""

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        return cast("subprocess.Popen[bytes]", _Hatched(name, self._commands[name]))


class _Hatched:
    """A forked child, seen as the service sees a started one."""

    def __init__(self, name: str, command: list[str]) -> None:
        lifeline, self.stdin = _CONTEXT.Pipe(duplex=False)
        arguments = command[command.index("-m") + 1 :]
        self._process = _CONTEXT.Process(target=_run, args=(name, arguments, lifeline), daemon=True)
        self._process.start()
        lifeline.close()
        self.terminate, self.kill = self._process.terminate, self._process.kill

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return self._process.exitcode


def _run(name: str, arguments: list[str], lifeline: Connection) -> None:
    """In the child.  It ends with its standard input, so that it cannot outlive the tests."""
    os.dup2(lifeline.fileno(), sys.stdin.fileno())
    lifeline.close()
    sys.argv = arguments
    _MAIN[name]()
