"""The seed world: the cast admitted and holding its keys, each with a client of its own, and the story's clock.

Everything here acts as a client; whatever it does, a customer can do over the network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from marketplace.client.api import ApiClient, in_process
from marketplace.client.keys import KeyFolder
from marketplace.client.receipts import ReceiptBook
from marketplace.kernel.clock import StoryClock, timestamp
from marketplace.main import create_app
from marketplace.participants.queries import by_credit_code
from marketplace.participants.service import bootstrap_operator
from marketplace.plumbing.db import Database
from marketplace.plumbing.policy import RegorusEngine
from marketplace.plumbing.runtime import Runtime
from seeds.cast import BY_NAME, CAST, Part

OPERATOR = BY_NAME["operator"]


@dataclass
class World:
    """The cast at work.  clients: by the cast's names; ids: participant ids by the same names."""

    clock: StoryClock
    began: datetime
    clients: dict[str, ApiClient]
    ids: dict[str, str]
    base_url: str
    http_undecided: Any
    facts: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> ApiClient:
        return self.clients[name]

    def undecided(self, name: str) -> ApiClient:
        """The same participant's client, at a door whose policy engine holds no policy and so cannot decide."""
        party = self.clients[name]
        return ApiClient(self.http_undecided, self.base_url, party.participant_id, party.key, self.clock)

    def day(self, number: int, hour: int = 0) -> datetime:
        """Move the story to the n-th day after its beginning; a moment that has passed changes nothing."""
        return self.clock.advance_to(self.began + timedelta(days=number, hours=hour))


@contextmanager
def open_world(
    runtime: Runtime, keys: Path, clock: StoryClock, *, began: datetime, cast: Sequence[Part] = CAST
) -> Iterator[World]:
    """Admit the cast (once) and open a client for each; keys: the folder in which the parties keep their own keys."""
    folder = KeyFolder(keys)
    base_url = runtime.settings.public_url
    _bootstrap(runtime.database, folder, clock)
    with ExitStack() as stack:
        http = stack.enter_context(in_process(create_app(runtime), base_url))
        empty = keys / "no-policies"  # beside the keys: a temporary folder would outlive a telling that is killed
        empty.mkdir(exist_ok=True)
        failing = create_app(replace(runtime, policy=RegorusEngine(empty)))
        world = World(clock, began, {}, {}, base_url, stack.enter_context(in_process(failing, base_url)))
        for part in cast:
            party = folder.open(part.name, part.algorithm)
            if party.participant_id is None:
                party = folder.enrol(part.name, _admit(world, part, party.key.public_jwk))
            assert party.participant_id is not None
            world.ids[part.name] = party.participant_id
            book = ReceiptBook(keys / part.name)
            world.clients[part.name] = ApiClient(http, base_url, party.participant_id, party.key, clock, receipts=book)
        yield world


def _bootstrap(database: Database, folder: KeyFolder, clock: StoryClock) -> None:
    """The first operator admits itself; everybody after it is admitted over the API."""
    party = folder.open(OPERATOR.name, OPERATOR.algorithm)
    if party.participant_id is not None:
        return
    with database.transaction() as db:
        known = by_credit_code(db, OPERATOR.credit_code)
        form = _form(OPERATOR, party.key.public_jwk, clock.now())
        admitted = known.id if known else bootstrap_operator(db, form, clock.now()).id
    folder.enrol(OPERATOR.name, admitted)


def _admit(world: World, part: Part, jwk: dict[str, Any]) -> str:
    form = _form(part, jwk, world.began).model_dump(mode="json")
    admitted = world[OPERATOR.name].post("/v1/participants", form, key=f"seed-admit-{part.name}")
    return str(admitted["id"])


def _form(part: Part, jwk: dict[str, Any], verified_at: datetime) -> Any:
    from marketplace.participants.schemas import ParticipantIn

    return ParticipantIn.model_validate(
        {
            "legal_name": part.legal_name,
            "legal_name_en": part.legal_name_en,
            "credit_code": part.credit_code,
            "kind": part.kind,
            "roles": list(part.roles),
            "licence_number": part.licence_number,
            "verified_by": "Example Data Space Operations Ltd",
            "verification_method": "business licence seen, public register queried (example)",
            "verified_at": timestamp(verified_at),
            "is_example": True,
            "jwk": jwk,
        }
    )


def beginning(keys: Path, now: datetime, *, days: int) -> datetime:
    """When the story began: noted on its first telling, so that telling it again after a crash is the same story."""
    note = keys / "story.json"
    if note.is_file():
        return datetime.fromisoformat(json.loads(note.read_text())["began"])
    began = (now - timedelta(days=days)).replace(hour=1, minute=0, second=0, microsecond=0)
    note.parent.mkdir(parents=True, exist_ok=True)
    temporary = note.with_suffix(".new")
    temporary.write_text(json.dumps({"began": began.isoformat()}))
    temporary.replace(note)
    return began
