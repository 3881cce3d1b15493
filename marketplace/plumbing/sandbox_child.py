"""The child of the parse pool: limits itself, imports what it is told, answers one item after the other.

Started only by `plumbing.sandbox`, as `python -m marketplace.plumbing.sandbox_child`.  It ends when its parent does:
its input closes, and an item that runs on is stopped by its own timer.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pickle
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from struct import Struct
from typing import Any, BinaryIO

LENGTH = Struct(">I")
FORBIDDEN_EVENTS = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty.")

_CLONE_NEWNET = 0x4000_0000
_CLONE_NEWUSER = 0x1000_0000


def main(memory_mib: int, file_mib: int, seconds: int) -> None:
    """Serve batches from standard input to standard output until the input closes."""
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # a stray print of the parsed file must reach nobody
        os.dup2(null, descriptor)
    warnings.simplefilter("ignore")
    _leave_network()
    _limit(memory_mib, file_mib)
    sys.addaudithook(_refuse)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _send(target, ("ready",))
    while (batch := _receive(source)) is not None:
        name, items = batch
        function = _resolve(name)
        _send(target, ("loaded",))
        for item in items:
            _answer(target, function, item, seconds)


def _answer(target: BinaryIO, function: Callable[[Any], Any], item: Any, seconds: int) -> None:
    """Run one item under the timer and send what came of it; after a MemoryError the child is not used again."""
    _limit_cpu(seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        answer: tuple[Any, ...] = ("done", function(item))
        frame = _frame(answer)
    except MemoryError:
        signal.setitimer(signal.ITIMER_REAL, 0)
        target.write(_frame(("memory",)))
        sys.exit(0)
    except RecursionError:
        frame = _frame(("failed", "RecursionError", ""))
    except Exception as error:  # noqa: BLE001 - whatever the untrusted file caused is its own result
        frame = _frame(("failed", type(error).__name__, _place(error)))
    signal.setitimer(signal.ITIMER_REAL, 0)
    target.write(frame)


def _place(error: Exception) -> str:
    """Where an error arose; never its message, which may quote the file."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119 - pathlib is not loaded here


def _limit(memory_mib: int, file_mib: int) -> None:
    for kind, limit in (
        (resource.RLIMIT_AS, memory_mib << 20),
        (resource.RLIMIT_FSIZE, file_mib << 20),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))


def _limit_cpu(seconds: int) -> None:
    """A second guard beside the timer, which a parser could switch off: the kernel counts the item's own work."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _leave_network() -> None:
    """Move into an empty network namespace where the kernel lets us; the audit hook refuses sockets everywhere."""
    libc = ctypes.CDLL(None)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _refuse(event: str, _arguments: tuple[Any, ...]) -> None:
    if event.startswith(FORBIDDEN_EVENTS):
        raise PermissionError(f"{event} is not for a parser")


def _resolve(name: str) -> Callable[[Any], Any]:
    module, _, attribute = name.partition(":")
    function: Callable[[Any], Any] = getattr(importlib.import_module(module), attribute)
    return function


def _frame(message: Any) -> bytes:
    body = pickle.dumps(message, protocol=4)
    return LENGTH.pack(len(body)) + body


def _send(target: BinaryIO, message: Any) -> None:
    target.write(_frame(message))


def _receive(source: BinaryIO) -> Any:
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return pickle.loads(source.read(*LENGTH.unpack(head)))  # noqa: S301 - only our own parent writes here


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]))
