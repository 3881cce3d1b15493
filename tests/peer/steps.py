"""Steps that are printed by name with how they ended and what was measured."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2


class Stopped(Exception):
    """A step failed, so that those after it cannot be taken."""


@dataclass
class Steps:
    """The steps of one run.  prefix: said before each name; ended: how many ended how."""

    prefix: str
    ended: dict[str, int] = field(default_factory=lambda: {"passed": 0, "failed": 0, "skipped": 0})

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Take a step; what the block appends is printed behind it.  Raises Stopped when it fails."""
        said: list[str] = []
        begun = time.monotonic()
        try:
            yield said
        except (AssertionError, httpx2.HTTPError, KeyError, LookupError, RuntimeError) as error:
            self.say("failed", name, f"{type(error).__name__}: {error}")
            raise Stopped(name) from error
        self.say("passed", name, ", ".join([*said, f"{time.monotonic() - begun:.2f} s"]))

    def say(self, ended: str, name: str, words: str) -> None:
        self.ended[ended] += 1
        print(f"{ended:8} {self.prefix}{name}: {words}", flush=True)


def waited(look: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """What a look finds, as soon as it finds something.  Raises AssertionError."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.05)


def pulled(endpoint: str, token: str) -> bytes:
    """The whole content behind an address of data, in two parts as after a cut line.  Raises AssertionError."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(trust_env=False, timeout=60) as http:

        def whole() -> httpx2.Response | None:
            answer = http.get(endpoint, headers=headers)
            assert answer.status_code in {200, 404, 409, 503}, f"{endpoint} answered {answer.status_code}"
            return answer if answer.status_code == 200 else None

        first: httpx2.Response = waited(whole, "the bytes")
        cut = len(first.content) // 2
        head, rest = (http.get(endpoint, headers=headers | {"Range": f"bytes={part}"}) for part in
                      (f"0-{cut - 1}", f"{cut}-"))  # fmt: skip
    assert (head.status_code, rest.status_code) == (206, 206), "no range is served"
    assert head.content + rest.content == first.content, "the parts are not the whole"
    return first.content


def closed(endpoint: str, token: str) -> bool:
    """Whether a token opens nothing any more."""
    answer = httpx2.get(endpoint, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    return answer.status_code in {401, 403, 404}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
