"""How the log signer and the witness run: a small web application of their own on a socket or a port."""

from __future__ import annotations

import argparse
import os
import select
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse

from marketplace.audit.handover import continued
from marketplace.audit.heldstate import HeldState
from marketplace.audit.note import VerifierKey
from marketplace.kernel.errors import DomainError

MAX_BODY = 64 * 1024
# The child of a service that was killed needs a moment to notice, more when it is still starting.
HANDOVER_SECONDS = 10.0


class TooLong(ValueError):
    """The request body is longer than anything this process is ever asked."""


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that signer and witness share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--folder", type=Path, required=True, help="folder of its own key and state, mode 0700")
    parser.add_argument("--origin", required=True, help="origin line of the log's checkpoints")
    parser.add_argument("--socket", type=Path, help="unix socket to listen on; else --host and --port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--with-parent", action="store_true", help="end when the starting process ends")
    return parser


def held_state(options: argparse.Namespace) -> HeldState:
    """The folder of this process, once a predecessor that is ending has let it go.  Raises StateRefused.

    After a recovery the folder's own origin counts: the holder need not change how the process is started.
    """
    origin = continued(options.folder, options.origin)
    return HeldState(options.folder, origin, wait_seconds=HANDOVER_SECONDS)


def ends_with_a_sentence(main: Callable[[], None]) -> Callable[[], None]:
    """A main function that ends with one sentence and exit code 1 where its folder or its input is refused."""

    def run_main() -> None:
        try:
            main()
        except DomainError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)

    return run_main


def run(app: Starlette, options: argparse.Namespace) -> None:
    """Serve until told to stop."""
    if options.with_parent:
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    where = {"uds": str(options.socket)} if options.socket else {"host": options.host, "port": options.port}
    uvicorn.run(app, log_level="warning", access_log=False, lifespan="off", **where)


async def body_of(request: Request) -> bytes:
    """The request body.  Raises TooLong."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise TooLong(f"more than {MAX_BODY} bytes")
    except ClientDisconnect as error:
        raise TooLong("the client went away") from error
    return body


def livez(_request: Request) -> PlainTextResponse:
    """The process runs."""
    return PlainTextResponse("pass\n")


def state_answer(held: HeldState, key: VerifierKey) -> JSONResponse:
    """What `/state` says: the last head and the public key."""
    head = held.head()
    return JSONResponse({"origin": held.origin, "size": head.size, "root": head.root.hex(), "key": str(key)})


def _end_with_parent(parent: int) -> None:
    # Whatever was answered is on disk already, so ending abruptly loses nothing.
    while os.getppid() == parent:
        ready, _, _ = select.select([sys.stdin], [], [], 0.5)
        if ready and not os.read(sys.stdin.fileno(), 1024):
            break
    os._exit(0)
