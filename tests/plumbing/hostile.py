"""Functions that a hostile file might turn a parser into."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Double:
    value: int


class Opener:
    def __reduce__(self) -> Any:
        return (os.system, ("touch /tmp/sandbox_escaped",))


def double(value: int) -> Double:
    return Double(value * 2)


def die_at(arg: tuple[int, int]) -> int:
    value, at = arg
    if value == at:
        os.kill(os.getpid(), signal.SIGSEGV)
    return value


def die_once(arg: tuple[int, str]) -> int:
    value, marker = arg
    if value == 3 and not Path(marker).exists():
        Path(marker).write_text("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def stall_at(arg: tuple[int, int]) -> int:
    value, at = arg
    if value == at:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        time.sleep(60)
    return value


def spin(value: int) -> int:
    while value == 1:
        pass
    return value


def begin_and_return(marker: str) -> None:
    Path(marker).touch()


def begin_and_spin(marker: str) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    Path(marker).touch()
    while True:
        pass


def work(seconds: float) -> tuple[int, float]:
    """The child, and the seconds of processor time that the kernel left it when it began."""
    begun = time.process_time()
    left = resource.getrlimit(resource.RLIMIT_CPU)[0] - begun
    while time.process_time() < begun + seconds:
        pass
    return os.getpid(), left


def bloat(mib: int) -> int:
    return len(bytearray(mib << 20))


def import_pydicom(_arg: Any) -> str:
    import numpy as np
    import pydicom

    assert np.ones((512, 512)).dot(np.ones((512, 512))).shape == (512, 512)
    return str(pydicom.__version__)


def connect(address: tuple[str, int]) -> None:
    socket.create_connection(address, timeout=1).close()


def environment(_arg: Any) -> list[str]:
    return sorted(os.environ)


def write(arg: tuple[str, int]) -> None:
    Path(arg[0]).write_bytes(bytes(arg[1] << 20))


def answer_with_code(_arg: Any) -> Any:
    return Opener()


def quote_the_file(text: str) -> None:
    raise ValueError(text)


def spawn(_arg: Any) -> None:
    os.system("true")


def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()
