"""The peer as consumer: it lists what we offer, gets a contract that both signed over our API, and pulls from us."""

from __future__ import annotations

import time

from marketplace.client.lists import items
from marketplace.kernel.canonical import Json
from tests.peer.controlplane import ControlPlane
from tests.peer.market import BEHIND, Market
from tests.peer.plane import DataPlane
from tests.peer.steps import Steps, closed, pulled, sha256, waited


def sell(steps: Steps, market: Market, peer: ControlPlane, plane: DataPlane) -> None:
    """Every step of it.  Raises Stopped."""
    base, hospital = market.base("hospital"), market.parties["hospital"].participant_id
    with steps.step("EDC lists our catalogue") as said:
        dataset = peer.catalogue(base, hospital)["dataset"]
        datasets = dataset if isinstance(dataset, list) else [dataset]
        said.append(f"{len(datasets)} data sets")
    with steps.step("EDC asks for a contract") as said:
        begun, chosen = time.monotonic(), datasets[-1]
        process = peer.negotiate(base, hospital, chosen["@id"], chosen["hasPolicy"][0])
        peer.reached(f"/contractnegotiations/{process}", {"REQUESTED"})
    with steps.step("both parties sign over our API") as said:
        agreement = _signed(market)
        said.append(agreement)
    with steps.step("EDC's negotiation is FINALIZED") as said:
        ended = peer.reached(f"/contractnegotiations/{process}", {"FINALIZED"})
        said.append(f"{time.monotonic() - begun:.2f} s from its request on")
    with steps.step("EDC's transfer is STARTED"):
        transfer = peer.transfer(base, ended["contractAgreementId"], f"{plane.url}/events")
        peer.reached(f"/transferprocesses/{transfer}", {"STARTED"})
    with steps.step("EDC's participant pulls from us") as said:
        address = plane.address_told(transfer)
        content = pulled(address["endpoint"], address["authorization"])
        manifest = market.parties[BEHIND].get(f"/v1/agreements/{agreement}/manifest")
        assert sha256(content) == manifest["content"]["tar"]["sha256"], "other bytes than the signed manifest names"
        said.append(f"{len(content)} bytes, SHA-256 equal to the signed manifest's")
    with steps.step("EDC ends the transfer, its token with it"):
        peer.post(f"/transferprocesses/{transfer}/terminate", {"@type": "TerminateTransfer", "reason": "done"})
        waited(lambda: closed(address["endpoint"], address["authorization"]), "the end of the token")


def _signed(market: Market) -> str:
    """Approve the peer's request and have both sides sign; returns the agreement's id."""
    hospital, buyer = market.parties["hospital"], market.parties[BEHIND]
    (asked,) = [one for one in _requests(market) if one["state"] == "REQUESTED"]
    agreement = str(hospital.post(f"/v1/requests/{asked['id']}/approval", {})["id"])
    document = buyer.get(f"/v1/agreements/{agreement}")["document"]
    for party in (buyer, hospital):
        party.post(f"/v1/agreements/{agreement}/signature", party.sign(document, "agreement"))
    return agreement


def _requests(market: Market) -> list[Json]:
    return list(items(market.parties["hospital"], "/v1/requests"))
