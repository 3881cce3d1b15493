"""Deliveries are prepared, and what was left open is settled."""

from __future__ import annotations

from typing import Any

from marketplace.dataspace import moving
from marketplace.dataspace.chosen import answering
from marketplace.plumbing.runtime import Runtime
from marketplace.transfer import (
    contract_notices,
    delivery,
    duty_notices,
    inbox,
    negotiation_notices,
    notices,
    payment_notices,
    service,
)


def prepare(runtime: Runtime, args: dict[str, Any]) -> None:
    """Make the delivery of a finalized agreement, which may have been resumed.  args: agreement."""
    delivery.prepare(runtime, args["agreement"])
    _tell_elsewhere(runtime, args["agreement"])


def sweep(runtime: Runtime, args: dict[str, Any]) -> None:  # noqa: ARG001 - every task has this shape
    """Settle transfers whose client or server died."""
    service.sweep(runtime)


def notify_stop(runtime: Runtime, args: dict[str, Any]) -> None:
    """Close what a stop left open, and tell both parties of each agreement.  args: as `plumbing.epochs.stop` says."""
    stopped = notices.Stopped.read(args)
    notices.notify_stop(runtime, stopped)
    for subject, _ in stopped.epochs:
        _tell_elsewhere(runtime, subject)


def _tell_elsewhere(runtime: Runtime, agreement: str) -> None:
    """Transfers over the Dataspace Protocol follow their agreement; any other subject has none."""
    with runtime.database.transaction() as db:
        moving.follow_agreement(db, agreement, answering(runtime.settings), runtime, runtime.clock.now())


def notify_duty(runtime: Runtime, args: dict[str, Any]) -> None:
    """Tell both parties of a reminder, a demand or a consequence.  args: as `negotiation.duties.chasing` says."""
    with runtime.database.transaction() as db:
        duty_notices.notify(db, args, runtime.service_key, runtime.clock.now())


def notify_negotiation(runtime: Runtime, args: dict[str, Any]) -> None:
    """Tell the side whose move it is of its deadline.  args: as `negotiation.rounds.reminding` says."""
    with runtime.database.transaction() as db:
        negotiation_notices.notify(db, args, runtime.service_key, runtime.clock.now())


def notify_contract(runtime: Runtime, args: dict[str, Any]) -> None:
    """Tell both parties what followed their agreement.  args: as `negotiation.succession.notices` says."""
    with runtime.database.transaction() as db:
        contract_notices.notify(db, args, runtime.service_key, runtime.clock.now())


def notify_payment(runtime: Runtime, args: dict[str, Any]) -> None:
    """Tell a payee that a payment to it came back.  args: as `settlement.returning` says."""
    with runtime.database.transaction() as db:
        payment_notices.notify(db, args, runtime.service_key, runtime.clock.now())


def push_notice(runtime: Runtime, args: dict[str, Any]) -> None:
    """Send a notice to its reader's address; one that was taken is not sent again.  args: notice, party."""
    inbox.push(runtime, args["notice"], args["party"])


TASKS = {
    "transfer.prepare": prepare,
    "transfer.sweep": sweep,
    "transfer.notify_stop": notify_stop,
    "transfer.notify_duty": notify_duty,
    "transfer.notify_negotiation": notify_negotiation,
    "transfer.notify_contract": notify_contract,
    "transfer.notify_payment": notify_payment,
    "transfer.push_notice": push_notice,
}
