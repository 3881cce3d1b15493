"""Messages of the Dataspace Protocol go to connectors elsewhere."""

from __future__ import annotations

from typing import Any

from marketplace.dataspace import delivering, holding, moving, pushing
from marketplace.dataspace.chosen import answering
from marketplace.dataspace.holding import EXPIRE_TASK
from marketplace.dataspace.pushing import PUSH_TASK
from marketplace.dataspace.sending import SEND_TASK
from marketplace.negotiation.steps import FOLLOW_TASK
from marketplace.plumbing.runtime import Runtime


def send(runtime: Runtime, args: dict[str, Any]) -> None:
    """Make one attempt to send a message.  args: message."""
    delivering.send(runtime, answering(runtime.settings), args["message"])


def follow(runtime: Runtime, args: dict[str, Any]) -> None:
    """Tell the other side what a negotiation has come to here.  args: request."""
    with runtime.database.transaction() as db:
        moving.follow(db, args["request"], answering(runtime.settings), runtime, runtime.clock.now())


def expire(runtime: Runtime, args: dict[str, Any]) -> None:
    """End an agreement with a provider elsewhere at the end of its term.  args: held."""
    with runtime.database.transaction() as db:
        holding.expire(db, args["held"], runtime.clock.now())


def push(runtime: Runtime, args: dict[str, Any]) -> None:
    """Make one attempt to push the bytes of a transfer.  args: exchange, serial.

    What a release before asked for has no serial: it is the present attempt.
    """
    pushing.push(runtime, answering(runtime.settings), args["exchange"], args.get("serial", 0))


TASKS = {PUSH_TASK: push, SEND_TASK: send, FOLLOW_TASK: follow, EXPIRE_TASK: expire}
