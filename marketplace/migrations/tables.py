"""Every module that defines tables, so that migrations see all of them."""

from __future__ import annotations

import importlib

ALL = tuple(
    importlib.import_module(f"marketplace.{name}")
    for name in (
        "plumbing.outbox",
        "plumbing.epochs",
        "plumbing.policyreleases",
        "plumbing.idempotency",
        "plumbing.refusals",
        "audit.models",
        "ledger.models",
        "costing.models",
        "participants.models",
        "assets.models",
        "collection.models",
        "governance.models",
        "legal.models",
        "registration.models",
        "accounting.models",
        "exchange.models",
        "negotiation.models",
        "negotiation.duties.models",
        "negotiation.rounds.models",
        "negotiation.succession.models",
        "charging.models",
        "settlement.models",
        "usage.models",
        "transfer.models",
        "dataspace.models",
    )
)
