"""Messages of the Dataspace Protocol go to connectors elsewhere."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from marketplace.dataspace import delivering, holding, moving, pushing
from marketplace.dataspace.chosen import answering
from marketplace.dataspace.holding import EXPIRE_TASK
from marketplace.dataspace.pushing import PUSH_TASK
from marketplace.dataspace.sending import SEND_TASK
from marketplace.negotiation.steps import FOLLOW_TASK
from marketplace.plumbing.runtime import Runtime
from workers.tasks.within import Plain, Rest, Within


def send(db: Session, runtime: Runtime, args: dict[str, Any]) -> Rest | None:
    """Make one attempt to send a message.  args: message."""
    return delivering.send(db, runtime, answering(runtime.settings), args["message"])


def follow(db: Session, runtime: Runtime, args: dict[str, Any]) -> None:
    """Tell the other side what a negotiation has come to here.  args: request."""
    moving.follow(db, args["request"], answering(runtime.settings), runtime, runtime.clock.now())


def expire(db: Session, runtime: Runtime, args: dict[str, Any]) -> None:
    """End an agreement with a provider elsewhere at the end of its term.  args: held."""
    holding.expire(db, args["held"], runtime.clock.now())


def push(runtime: Runtime, args: dict[str, Any]) -> None:
    """Make one attempt to push the bytes of a transfer.  args: exchange, serial.

    What a release before asked for has no serial: it is the present attempt.
    """
    pushing.push(runtime, answering(runtime.settings), args["exchange"], args.get("serial", 0))


TASKS: dict[str, Plain | Within] = {
    PUSH_TASK: push,
    SEND_TASK: Within(send, prompt=True),
    FOLLOW_TASK: Within(follow, prompt=True),
    EXPIRE_TASK: Within(expire),
}
