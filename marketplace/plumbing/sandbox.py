"""A pool of resource-limited child processes for untrusted files.

A file that kills, stalls or bloats its child costs itself only: the child is replaced and the others are parsed.
Children are started afresh, never forked from the threaded server; what they answer is read by an unpickler that
makes plain values and our own dataclasses only, so that a child taken over by a file cannot act in the server.
"""

from __future__ import annotations

import enum
import io
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from marketplace.kernel.errors import Unavailable
from marketplace.plumbing.sandbox_child import LENGTH

R = TypeVar("R")

BATCH = 32
START_SECONDS = 60
LARGEST_ANSWER = 64 << 20
_ROOT = Path(__file__).resolve().parents[2]


class SandboxUnavailable(Unavailable):
    """The child processes for untrusted files do not start."""


@dataclass(frozen=True)
class Failure:
    """Why an item has no result.

    reason: `time_limit`, `memory_limit`, `crashed` (the child died, twice) or `failed` (the function raised);
    detail: exception type and place, or signal; never a text taken from the file.
    """

    reason: str
    detail: str = ""


class ParsePool:
    """Up to `workers` children, each started at first need, kept, and replaced when lost.

    memory_mib: address space of a child; seconds: wall-clock limit for one item; file_mib: largest file a child may
    write; prefixes: module names that functions may come from.  Safe to use from several threads.
    """

    def __init__(
        self,
        workers: int,
        memory_mib: int = 512,
        seconds: int = 10,
        *,
        file_mib: int = 1024,
        prefixes: tuple[str, ...] = ("marketplace.",),
    ) -> None:
        self._limits = (memory_mib, file_mib, seconds)
        self._prefixes = prefixes
        self._workers = workers
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="parse")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._children: set[_Child] = set()
        self._closed = False

    def run(self, function: Callable[[Any], R], args: Sequence[Any]) -> list[R | Failure]:
        """Call a top-level function in the children, once per argument; results in the order of the arguments.

        function: found by its qualified name, must be safe to run twice: an item whose child died is tried again once.
        Raises SandboxUnavailable when children cannot be started.
        """
        name = self._name(function)
        size = max(1, min(BATCH, -(-len(args) // (self._workers * 2))))
        batches = [args[start : start + size] for start in range(0, len(args), size)]
        results: list[R | Failure] = []
        # A window of batches, so that a large run leaves room for other callers between its batches.
        waiting: list[Future[list[Any]]] = []
        for batch in batches:
            waiting.append(self._threads.submit(self._serve, name, batch))
            if len(waiting) > self._workers * 2:
                results += waiting.pop(0).result()
        for future in waiting:
            results += future.result()
        return results

    def processes(self) -> list[int]:
        """Process ids of the present children."""
        with self._lock:
            return sorted(child.pid for child in self._children)

    def close(self) -> None:
        """End the children and refuse further work."""
        self._closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            children, self._children = self._children, set()
        for child in children:
            child.end()

    def _name(self, function: Callable[[Any], Any]) -> str:
        module, name = function.__module__, function.__qualname__
        if not module.startswith(self._prefixes) or getattr(sys.modules[module], name, None) is not function:
            raise ValueError(f"only top-level functions of {self._prefixes} run in the pool, got {module}:{name}")
        return f"{module}:{name}"

    def _serve(self, name: str, batch: Sequence[Any]) -> list[Any]:
        """Work through a batch with this thread's child; a lost child costs the item it was at."""
        results: list[Any] = []
        retried = -1
        starts = 0
        while len(results) < len(batch):
            child = self._child()
            outcome = child.work(name, batch[len(results) :], results)
            if outcome is None:
                return results
            self._drop(child)
            match outcome:
                case Failure(reason="not_started"):
                    starts += 1
                    if starts == 3 or self._closed:
                        raise SandboxUnavailable(
                            "a child process for untrusted files died at start", got=outcome.detail
                        )
                case Failure(reason="crashed") if retried < len(results):
                    retried = len(results)
                case _:
                    results.append(outcome)
        return results

    def _child(self) -> _Child:
        child: _Child | None = getattr(self._own, "child", None)
        if child is None:
            child = _Child(self._limits, self._prefixes)
            self._own.child = child
            with self._lock:
                self._children.add(child)
        return child

    def _drop(self, child: _Child) -> None:
        self._own.child = None
        with self._lock:
            self._children.discard(child)
        child.end()


class _Child:
    """One child process and the two ends of its pipes."""

    def __init__(self, limits: tuple[int, int, int], prefixes: tuple[str, ...]) -> None:
        self._seconds = limits[2]
        self._prefixes = prefixes
        environment = {
            "PYTHONPATH": str(_ROOT),
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONSAFEPATH": "1",
        }
        # Every BLAS thread would reserve address space of its own.
        environment |= {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "marketplace.plumbing.sandbox_child", *map(str, limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self._target = self._process.stdin
        self._source = self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._source, select.POLLIN)
        self._buffer = bytearray()
        self._ready = False

    def work(self, name: str, items: Sequence[Any], results: list[Any]) -> Failure | None:
        """Add the results of items in order; None when all are done, else what became of the first one missing."""
        try:
            if not self._ready:
                self._expect("ready")
                self._ready = True
            self._send(pickle.dumps((name, list(items)), protocol=4))
            self._expect("loaded")
        except (OSError, EOFError, ValueError) as error:
            return Failure("not_started", type(error).__name__)
        for _ in items:
            try:
                answer = self._receive(self._seconds + 1.0)
            except TimeoutError:
                return Failure("time_limit", f"over {self._seconds} s")
            except (OSError, EOFError, ValueError) as error:
                return self._death(error)
            if answer[0] == "memory":
                return Failure("memory_limit", "MemoryError")
            results.append(answer[1] if answer[0] == "done" else Failure("failed", " at ".join(map(str, answer[1:]))))
        return None

    def end(self) -> None:
        """Kill and reap the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _death(self, error: Exception) -> Failure:
        if not isinstance(error, EOFError | BrokenPipeError):
            return Failure("crashed", f"odd answer: {error}")
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return Failure("crashed", "answers ended")
        if code in (-signal.SIGALRM, -signal.SIGXCPU):
            return Failure("time_limit", f"over {self._seconds} s")
        return Failure("crashed", f"exit status {code}")

    def _send(self, body: bytes) -> None:
        view = memoryview(LENGTH.pack(len(body)) + body)
        while view:
            view = view[os.write(self._target.fileno(), view) :]

    def _expect(self, word: str) -> None:
        if self._receive(START_SECONDS)[0] != word:
            raise ValueError(word)

    def _receive(self, seconds: float) -> tuple[Any, ...]:
        deadline = time.monotonic() + seconds
        (length,) = LENGTH.unpack(self._take(LENGTH.size, deadline))
        if length > LARGEST_ANSWER:
            raise ValueError("answer too large")
        answer = _read(self._take(length, deadline), self._prefixes)
        if not isinstance(answer, tuple) or not answer:
            raise ValueError("not an answer")
        return answer

    def _take(self, count: int, deadline: float) -> bytes:
        while len(self._buffer) < count:
            if not self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            chunk = os.read(self._source, 1 << 16)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


class _PlainUnpickler(pickle.Unpickler):
    """Makes plain values, and dataclasses and enums of modules that the server has loaded already."""

    prefixes: tuple[str, ...] = ()

    def find_class(self, module: str, name: str) -> Any:
        found = getattr(sys.modules.get(module), name, None) if "." not in name else None
        ours = isinstance(found, type) and found.__module__ == module and module.startswith(self.prefixes)
        if ours and (is_dataclass(found) or issubclass(cast("type", found), enum.Enum)):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is not a plain value")


def _read(body: bytes, prefixes: tuple[str, ...]) -> Any:
    """The answer in a frame; field types are not checked here.  Raises ValueError for anything odd."""
    unpickler = _PlainUnpickler(io.BytesIO(body))
    unpickler.prefixes = prefixes
    try:
        return unpickler.load()
    except Exception as error:
        raise ValueError(type(error).__name__) from error
