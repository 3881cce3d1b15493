"""An act in a forked child, under strace from its first own system call on, and what it acknowledged."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Marks:
    """What a child has acknowledged, in memory shared with its parent: noting it is no system call of its own."""

    SIZE = 1 << 16

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self.SIZE)

    def clear(self) -> None:
        self._memory[:4] = bytes(4)

    def note(self, name: str, value: Any = True) -> None:
        body = json.dumps(self.all() | {name: value}).encode()
        self._memory[4 : 4 + len(body)] = body
        self._memory[:4] = len(body).to_bytes(4)

    def all(self) -> dict[str, Any]:
        size = int.from_bytes(self._memory[:4])
        found: dict[str, Any] = json.loads(self._memory[4 : 4 + size]) if size else {}
        return found


@dataclass(frozen=True)
class Ended:
    """How a disturbed child ended.  code: 0 when the act came to its end; told: what it had acknowledged."""

    code: int
    told: dict[str, Any]


def disturbed(act: Callable[[Path, Marks], None], folder: Path, marks: Marks, strace: list[str] | None) -> Ended:
    """Run the act in a forked child, under strace from its first own system call on."""
    marks.clear()
    wait, go = os.pipe()
    child = os.fork()
    if child == 0:
        _child(act, folder, marks, wait)
    os.close(wait)
    tracer = None
    if strace is not None:
        tracer = subprocess.Popen([*strace, "-p", str(child)], stderr=subprocess.DEVNULL)
        while "TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_text():
            if tracer.poll() is not None:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:  # the very first call was disturbed, and the child is gone already
                    os.close(go)
                    return Ended(os.waitstatus_to_exitcode(status), marks.all())
                os.kill(child, 9)
                os.waitpid(child, 0)
                raise RuntimeError("strace could not attach: this machine does not allow one process to trace another")
    with suppress(BrokenPipeError):  # its wait was the first call, and killed
        os.write(go, b"x")
    os.close(go)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if tracer is not None:
        tracer.wait(30)
    return Ended(code, marks.all())


def _child(act: Callable[[Path, Marks], None], folder: Path, marks: Marks, wait: int) -> None:
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 2)
        os.read(wait, 1)
        act(folder, marks)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it was, nothing more is acknowledged
        os._exit(3)
    finally:
        sys.stderr = None  # type: ignore[assignment]
        os._exit(4)
