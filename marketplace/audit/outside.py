"""What is known of the log outside its database: the heads that log signer and witness hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from marketplace.audit.client import LogSilent, Peer
from marketplace.audit.heldstate import KEY_FILE, Head, held_head, held_origin
from marketplace.settings import Settings

Holder = Literal["log-signer", "witness"]


@dataclass(frozen=True)
class Held:
    """A head that was signed, as its holder keeps it.  lost: it had one and has none that can be read."""

    name: str
    origin: str
    head: Head | None
    lost: bool = False


def held(settings: Settings, name: Holder) -> Held | None:
    """What signer or witness holds, asked at its address or read from its folder; None when neither is there.

    Raises LogSilent.
    """
    url = settings.log_signer_url if name == "log-signer" else settings.witness_url
    if url:
        peer = Peer(name, url)
        try:
            state = peer.state()
        finally:
            peer.close()
        return Held(name, state.origin, state.head)
    folder = settings.data_folder / name
    head, origin = held_head(folder), held_origin(folder)
    if head is None or origin is None:
        return Held(name, "", None, lost=True) if (folder / KEY_FILE).exists() else None
    return Held(name, origin, head)


def heads(settings: Settings) -> Iterator[Held]:
    """The heads that are at hand; ask before reading the database, which then holds at least as much."""
    for name in ("log-signer", "witness"):
        try:
            found = held(settings, name)
        except LogSilent:
            continue
        if found is not None:
            yield found
