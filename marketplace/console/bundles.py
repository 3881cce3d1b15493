"""Uploaded bundles: read within a limit, checked by the independent verifier in a limited process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from marketplace.plumbing.bodies import in_time

LIMIT = 16 << 20
MARGIN = 1 << 16  # the form around the file
SECONDS = 60
MEMORY = 1 << 30
AT_ONCE = 2
REPOSITORY = Path(__file__).resolve().parents[2]
_PLACES = BoundedSemaphore(AT_ONCE)
_CHILD = (
    "import resource, runpy; "
    f"resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY})); "
    f"resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS})); "
    "runpy.run_module('marketplace.audit.verifier', run_name='__main__', alter_sys=True)"
)


class TooLarge(MultiPartException):
    """More bytes than the limit."""


class NoFile(Exception):
    """The form holds no file."""


class Busy(Exception):
    """As many bundles as may be are being checked already."""


class TooLong(Exception):
    """The check was not finished in time."""


@dataclass(frozen=True)
class Keys:
    """The verifier keys of this instance's log and witness."""

    log: str
    witness: str


async def uploaded(request: Request) -> bytes:
    """The one file of a multipart form.  Raises TooLarge before more than the limit is kept, NoFile."""
    promised = request.headers.get("content-length", "")
    if promised.isdecimal() and int(promised) > LIMIT + MARGIN:
        raise TooLarge("content-length")
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise NoFile
    try:
        form = await MultiPartParser(request.headers, _limited(request), max_files=1, max_fields=4).parse()
    except TooLarge:
        raise
    except MultiPartException as error:
        raise NoFile from error
    try:
        file = form.get("file")
        content = await file.read(LIMIT + 1) if isinstance(file, UploadFile) else b""
    finally:
        await form.close()
    if not content:
        raise NoFile
    if len(content) > LIMIT:
        raise TooLarge("file")
    return content


def check(bundle: bytes, keys: Keys | None) -> dict[str, Any]:
    """The verifier's report on a bundle, as its `--json` says.  Raises Busy, TooLong.

    keys: without them the verifier takes the keys from the bundle and says so.
    """
    if not _PLACES.acquire(blocking=False):
        raise Busy
    try:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            file.write(bundle)
            file.flush()
            return _run([file.name, "--json", *_options(keys)])
    finally:
        _PLACES.release()


def _run(arguments: list[str]) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    command = [sys.executable, "-c", _CHILD, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=SECONDS, check=False, cwd=REPOSITORY, env=environment
        )
        report: dict[str, Any] = json.loads(done.stdout)["files"][0]
    except subprocess.TimeoutExpired as error:
        raise TooLong from error
    except (ValueError, LookupError):  # the child was stopped by a limit
        return {"ok": False, "unreadable": "the check ended without a report", "checks": [], "notes": []}
    return report


def _options(keys: Keys | None) -> list[str]:
    return [] if keys is None else [f"--log-key={keys.log}", f"--witness-key={keys.witness}"]


async def _limited(request: Request) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in Request(request.scope, in_time(request.receive)).stream():
        received += len(chunk)
        if received > LIMIT + MARGIN:
            raise TooLarge("body")
        yield chunk
