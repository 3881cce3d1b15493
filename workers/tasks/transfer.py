"""Deliveries are prepared, and what was left open is settled."""

from __future__ import annotations

from typing import Any

from marketplace.plumbing.runtime import Runtime
from marketplace.transfer import delivery, service


def prepare(runtime: Runtime, args: dict[str, Any]) -> None:
    """Make the delivery of a finalized agreement.  args: agreement."""
    delivery.prepare(runtime, args["agreement"])


def sweep(runtime: Runtime, args: dict[str, Any]) -> None:  # noqa: ARG001 - every task has this shape
    """Settle transfers whose client or server died."""
    service.sweep(runtime)


TASKS = {"transfer.prepare": prepare, "transfer.sweep": sweep}
