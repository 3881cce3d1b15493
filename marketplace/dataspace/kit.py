"""What only the conformance mode has: two addresses at which the kit asks us to begin with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastapi import Request
from sqlmodel import Session
from starlette.responses import JSONResponse, Response

from marketplace.dataspace.beginning import ask_for_contract, ask_for_data
from marketplace.dataspace.conformance import USE
from marketplace.dataspace.hosting import hosted, in_transaction
from marketplace.dataspace.messages import read
from marketplace.dataspace.models import Exchange
from marketplace.dataspace.moving import acknowledgement
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.participants import connectors
from marketplace.participants.connectors import NoSuchConnector
from marketplace.plumbing import bodies
from marketplace.plumbing.runtime import Runtime


async def negotiate(request: Request) -> Response:
    """Ask the kit for a contract about the data set that it names."""
    return await _begun(request, _negotiate)


async def transfer(request: Request) -> Response:
    """Ask the kit for the data of the agreement that it names."""
    return await _begun(request, _transfer)


async def _begun(request: Request, begin: Callable[[Request, Json, Session, Runtime], Exchange]) -> Response:
    asked = read(await bodies.taken(request, bodies.SMALL))
    return JSONResponse(acknowledgement(await in_transaction(request, partial(begin, request, asked))))


def _negotiate(request: Request, asked: Json, db: Session, runtime: Runtime) -> Exchange:
    offer = {"@id": asked["offerId"], "@type": "Offer", "target": asked["datasetId"]} | USE
    where, now = (_kit(db, runtime), asked["connectorAddress"]), runtime.clock.now()
    return ask_for_contract(db, _actor(db, request), *where, offer, request.app.state.answering, runtime, now)


def _transfer(request: Request, asked: Json, db: Session, runtime: Runtime) -> Exchange:
    where, now = (_kit(db, runtime), asked["connectorAddress"]), runtime.clock.now()
    return ask_for_data(
        db,
        _actor(db, request),
        *where,
        asked["agreementId"],
        request.app.state.answering,
        runtime,
        now,
        transfer_format=asked["format"],
    )


def _actor(db: Session, request: Request) -> Actor:
    here = hosted(db, request.path_params["participant"])
    return Actor(here.id, frozenset(here.roles))


def _kit(db: Session, runtime: Runtime) -> str:
    found = connectors.by_identifier(db, runtime.settings.dataspace_conformance)
    if found is None:
        raise NoSuchConnector("the kit's connector is not registered")
    return found.id
