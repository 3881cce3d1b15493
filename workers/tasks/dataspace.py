"""Messages of the Dataspace Protocol go to connectors elsewhere."""

from __future__ import annotations

from typing import Any

from marketplace.dataspace import delivering
from marketplace.dataspace.chosen import answering
from marketplace.dataspace.sending import SEND_TASK
from marketplace.plumbing.runtime import Runtime


def send(runtime: Runtime, args: dict[str, Any]) -> None:
    """Make one attempt to send a message.  args: message."""
    delivering.send(runtime, answering(runtime.settings), args["message"])


TASKS = {SEND_TASK: send}
