"""Requests that come while others of their kind are being answered wait, and are then answered together.

Whoever comes while nobody is answered is answered at once.  After a batch of several the next one waits until as many
have come again, for a few milliseconds at most: their clients have just been answered, and many cost little more than
one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar

PATIENCE_SECONDS = 0.005

Q = TypeVar("Q")
A = TypeVar("A")


class Batches(Generic[Q, A]):
    """Answers questions in batches, each in a thread.

    The threads are its own: what one batch has warmed (a policy engine, a connection) serves the next one.
    answer: gives an answer for each question in order, or raises for all of them.  most: questions of one batch;
    at_once: batches at the same time.  Belongs to the thread of one event loop.
    """

    def __init__(self, answer: Callable[[Sequence[Q]], Sequence[A]], *, most: int, at_once: int) -> None:
        self._answer, self._most, self._free = answer, most, at_once
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="batches")
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._working: set[asyncio.Task[None]] = set()
        self._enough, self._expected = asyncio.Event(), 1

    async def ask(self, question: Q) -> A:
        """The answer to one question; raises what answering raised."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if len(self._waiting) >= self._expected:
            self._enough.set()
        if self._free:
            self._free -= 1
            task = asyncio.create_task(self._work())
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                await self._answer_batch(batch)
                self._expected = len(batch)
                if len(batch) > 1:
                    await self._come_again()
        finally:
            self._free += 1

    async def _come_again(self) -> None:
        """Wait for as many as were just answered."""
        if len(self._waiting) < self._expected:
            self._enough.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), PATIENCE_SECONDS)

    async def _answer_batch(self, batch: list[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            questions = [question for question, _ in batch]
            answers = await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, questions)
        except Exception as error:  # noqa: BLE001 - raised again to everybody of the batch
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():  # its client may have gone
                future.set_result(answer)
