"""Whoever sends messages over kept connections, through a network that leads to the far side."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from marketplace.plumbing import outgoing
from marketplace.plumbing.connections import Connections, Kept
from marketplace.plumbing.outgoing import Answer
from marketplace.settings import Settings
from tests.plumbing.far_side import Wires

PUBLIC, INSIDE = "93.184.215.14", "10.0.0.7"
NAME = "inbox.buyer.example"
ORIGIN, SECURE = f"http://{NAME}:80", f"https://{NAME}:443"


@dataclass
class Sender:
    """Its messages go to ORIGIN, which is registered, where they say nothing else."""

    settings: Settings
    wires: Wires = field(default_factory=lambda: Wires({NAME: [[PUBLIC]]}))

    def __post_init__(self) -> None:
        self.connections = Connections(self.wires.network)

    def post(
        self, body: bytes = b"{}", *, url: str = ORIGIN, origins: Collection[str] = (ORIGIN,), seconds: int = 60
    ) -> Answer:
        """One message, whose answer has the time that a busy machine needs."""
        settings = self.settings.model_copy(update={"outgoing_seconds": seconds})
        return outgoing.post(url, body, headers={}, settings=settings, network=self.connections, origins=origins)

    @property
    def dials(self) -> int:
        return len(self.wires.dialled)

    @property
    def waiting(self) -> list[Kept]:
        return self.connections._waiting
