"""Our side: the seed world with a listing that can be sold, the service as anybody starts it, and its parties."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from marketplace.client.api import ApiClient, connect
from marketplace.dataspace.addresses import path_of
from marketplace.kernel.clock import timestamp
from marketplace.kernel.signing import generate_key
from seeds import story
from seeds.chest_ct import Archive, generate
from tests.peer.controlplane import ControlPlane
from tests.servers import free_port, market_server

IDENTIFIER = "edc-peer"
TEST_MODE = "dataspace_mock_identity"
BEHIND = "ai_company"
"""The party whose connector the peer is; `hospital` sells to it, `pharma` buys from it."""
_PATIENTS = 40


@dataclass(frozen=True)
class Market:
    """A running service.  parties: a client for each, by the cast's names; connector: the peer's id here."""

    url: str
    parties: dict[str, ApiClient]
    connector: str

    def base(self, name: str) -> str:
        """The protocol base of a party that is hosted here."""
        return f"{self.url}{path_of(self.parties[name].participant_id)}"


@contextmanager
def opened(folder: Path, peer: ControlPlane, version: str, database_url: str = "") -> Iterator[Market]:
    """Tell the main job to a listing, serve it in the mode for peers with a mock identity, register the peer."""
    data, port = folder / "market", free_port()
    with contextlib.redirect_stdout(io.StringIO()):
        scans = generate(folder / "scans", Archive(patients=_PATIENTS))
        story.tell(data, source=scans, json_file=None, database_url=database_url)
    url = f"http://127.0.0.1:{port}"
    told = {"DATASPACE_MOCK_IDENTITY": IDENTIFIER, "PUBLIC_URL": url}
    told |= {"DATABASE_URL": database_url} if database_url else {}
    environment = {f"MARKETPLACE_{name}": value for name, value in told.items()}
    with market_server(data, port, environment, test_mode=TEST_MODE), ExitStack() as stack:
        keys = data.parent / f"{data.name}-parties"
        names = ("operator", "hospital", "pharma", BEHIND)
        parties = {name: stack.enter_context(connect(url, keys / name)) for name in names}
        yield Market(url, parties, _register(parties, peer, version))


def _register(parties: dict[str, ApiClient], peer: ControlPlane, version: str) -> str:
    form = {
        "participant_id": parties[BEHIND].participant_id,
        "identifier": IDENTIFIER,
        "software": "eclipse-edc",
        "software_version": version,
        "jwk": generate_key().public_jwk,
        "addresses": [peer.origin],
        "certified_by": "Example certifier",
        "certificate_number": "EX-PEER",
        "certified_until": timestamp(datetime.now(UTC) + timedelta(days=1)),
        "signs": False,
    }
    return str(parties["operator"].post("/v1/connectors", form)["id"])
