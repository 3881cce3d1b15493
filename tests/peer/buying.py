"""The peer as provider: we list what it offers, negotiate by our verbs, and pull from the data plane it steers."""

from __future__ import annotations

import time
from typing import Any

from marketplace.client.lists import wait_for
from marketplace.kernel.canonical import Json
from tests.peer.controlplane import ControlPlane
from tests.peer.market import Market
from tests.peer.plane import DataPlane
from tests.peer.steps import Steps, closed, pulled, sha256, waited

ASSET = "peers-asset"


def buy(steps: Steps, market: Market, peer: ControlPlane, plane: DataPlane) -> None:
    """Every step of it.  Raises Stopped."""
    buyer = market.parties["pharma"]
    where = {"connector_id": market.connector, "address": peer.base}
    with steps.step("we list EDC's catalogue") as said:
        found = buyer.post("/v1/dataspace/catalogues", where)
        dataset = next(one for one in found["datasets"] if one["id"] == ASSET)
        alone = buyer.post("/v1/dataspace/catalogues", where | {"dataset": ASSET})["datasets"]
        assert [one["id"] for one in alone] == [ASSET], "it does not show its data set alone"
        offer = dataset["offers"][0]
        said.append(f"{dataset['id']} as {' or '.join(dataset['formats'])}, the data set alone too")
    with steps.step("EDC agrees to our request") as said:
        begun = time.monotonic()
        negotiation = buyer.post("/v1/dataspace/negotiations", where | {"offer": offer})["id"]
        agreed = _reached(market, negotiation, "AGREED")
        said.append(f"assigner {agreed['agreement']['assigner']}")
    with steps.step("we verify, EDC finalizes") as said:
        buyer.post(f"/v1/dataspace/exchanges/{negotiation}/moves", {"move": "verify"})
        _reached(market, negotiation, "FINALIZED")
        said.append(f"{time.monotonic() - begun:.2f} s from our request on")
    _transfer(steps, market, plane, where | {"agreement_id": agreed["agreement"]["@id"]})


def _transfer(steps: Steps, market: Market, plane: DataPlane, asked: Json) -> None:
    buyer = market.parties["pharma"]
    with steps.step("our transfer is STARTED, EDC's data plane signalled"):
        transfer = buyer.post("/v1/dataspace/transfers", asked)["id"]
        started = _reached(market, transfer, "STARTED")
        assert plane.told[-1][0] == "start", "the data plane was not told to start"
    with steps.step("we pull from it") as said:
        address = {
            one["name"].rpartition("/")[2]: one["value"] for one in started["data_address"]["endpointProperties"]
        }
        content = pulled(address["endpoint"], address["authorization"])
        assert sha256(content) == plane.sha256, "other bytes than it serves"
        said.append(f"{len(content)} bytes, SHA-256 equal")
    with steps.step("we end the transfer, the token with it"):
        buyer.post(f"/v1/dataspace/exchanges/{transfer}/moves", {"move": "terminate"})
        _reached(market, transfer, "TERMINATED")
        waited(lambda: closed(address["endpoint"], address["authorization"]), "the end of the token")


def _reached(market: Market, exchange: str, state: str) -> Any:
    def ready(found: Any) -> bool:
        ended = found["state"] == "TERMINATED" != state
        assert not ended, f"{exchange} ended: {found['error'] or found['messages'][-1]['body'].get('reason')}"
        return bool(found["state"] == state)

    return wait_for(market.parties["pharma"], f"/v1/dataspace/exchanges/{exchange}", ready, seconds=60)
