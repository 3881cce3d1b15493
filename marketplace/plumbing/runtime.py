"""What a running instance holds: one object made by `main.build_runtime`, handed down, never imported as a global."""

from __future__ import annotations

from dataclasses import dataclass, field

from marketplace.kernel.clock import Clock
from marketplace.kernel.signing import SigningKey
from marketplace.plumbing.connections import Connections
from marketplace.plumbing.db import Database
from marketplace.plumbing.policy import PolicyEngine
from marketplace.plumbing.refusals import RefusalCounts
from marketplace.plumbing.sandbox import ParsePool
from marketplace.plumbing.soundness import Soundness
from marketplace.plumbing.storage import ObjectStore
from marketplace.settings import Settings


@dataclass(frozen=True)
class Runtime:
    """The parts that verbs and tasks need.

    service_key: the instance's own key, for manifests, receipts and what derives from it; never a party's key.
    pool: resource-limited child processes for untrusted files; refusals: what the edge refused and only counts.
    connections: kept between messages to the same connector.
    """

    settings: Settings
    database: Database
    clock: Clock
    store: ObjectStore
    policy: PolicyEngine
    pool: ParsePool
    service_key: SigningKey
    pseudonym_secret: bytes
    soundness: Soundness = field(default_factory=Soundness)
    refusals: RefusalCounts = field(default_factory=RefusalCounts)
    connections: Connections = field(default_factory=Connections)

    def close(self) -> None:
        """End the child processes, the policy engine, the connections to others and those to the database."""
        self.pool.close()
        self.policy.close()
        self.connections.close()
        self.database.dispose()
