"""What a connector elsewhere offers: asked for in the name of a buyer here, at the connector's registered addresses."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from sqlmodel import Session

from marketplace.audit.entry import Tag, record
from marketplace.dataspace.addresses import require_address
from marketplace.dataspace.answering import Answering
from marketplace.dataspace.beginning import NotABuyer
from marketplace.dataspace.catalogues import NotACatalogue, read_catalogue, read_dataset
from marketplace.dataspace.identity import ConnectorRefused, require_trusted
from marketplace.dataspace.messages import framed
from marketplace.dataspace.schemas import RemoteCatalogueIn, RemoteCatalogueOut
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import Json, read_strictly
from marketplace.kernel.errors import Conflict, Invalid
from marketplace.participants import connectors
from marketplace.participants.models import Connector
from marketplace.plumbing import outgoing
from marketplace.plumbing.outgoing import Answer, OutgoingFailed
from marketplace.plumbing.runtime import Runtime

_CODE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_OK: Final = 200
_NOT_FOUND: Final = 404


class ConnectorNotAsked(Conflict):
    """This connector is registered and may not be asked now."""


class PeerRefused(Conflict):
    """The connector refuses to show its catalogue."""


@dataclass(frozen=True)
class Question:
    """What is asked of whom.

    dataset: empty for a catalogue; message: None for a data set, which is read by its address;
    authorization: the proof of who asks, good for one call; origins: the registered addresses.
    """

    identifier: str
    url: str
    dataset: str
    message: Json | None
    authorization: str
    origins: tuple[str, ...]


def ask_for_catalogue(
    db: Session, actor: Actor, asked: RemoteCatalogueIn, answering: Answering, runtime: Runtime, now: datetime
) -> Question:
    """Prepare a question to a connector; whoever puts it (`put`) commits before, so that no transaction waits for it.

    Raises NotABuyer, NoSuchConnector, ConnectorNotAsked, OutgoingRefused, AddressNotRegistered.
    Records: dataspace:catalogue_asked.
    """
    if not actor.has(Role.BUYER):
        raise NotABuyer("asking others for data needs the role buyer", got=", ".join(sorted(actor.roles)))
    connector = _trusted(db, asked.connector_id, now)
    base = require_address(connector, asked.address, runtime.settings)
    url = require_address(connector, _url(base, asked), runtime.settings)

    record(db, actor, Tag.CATALOGUE_ASKED, now, facts={"connector": connector.id, "provider": connector.participant_id})

    wanted = asked.filter.model_dump(exclude_none=True) if asked.filter else {}
    message = framed("CatalogRequestMessage", {"filter": [wanted]} if wanted else {})
    return Question(
        identifier=connector.identifier,
        url=url,
        dataset=asked.dataset or "",
        message=None if asked.dataset else message,
        authorization=answering.identity.header(actor.participant, base, now, runtime),
        origins=tuple(connector.addresses),
    )


def put(question: Question, runtime: Runtime) -> RemoteCatalogueOut:
    """Put a question and read the answer, which is at most `dataspace_catalogue_kib` large; nothing changes anywhere.

    Raises OutgoingRefused, OutgoingFailed, PeerRefused, NotACatalogue.
    """
    answer = _called(question, runtime)
    if answer.status >= 500:
        raise OutgoingFailed(
            "the connector cannot answer now", expected=str(_OK), got=str(answer.status), action="ask again later"
        )
    if answer.status >= 400:
        raise _refusal(answer)
    if answer.status != _OK:
        raise NotACatalogue(
            "the answer is no catalogue, and no redirect is followed", expected=str(_OK), got=str(answer.status)
        )
    if question.dataset:
        return read_dataset(answer.body, question.dataset, question.identifier)
    return read_catalogue(answer.body, answer.headers, question.identifier)


def _trusted(db: Session, connector_id: str, now: datetime) -> Connector:
    try:
        return require_trusted(db, connectors.connector(db, connector_id), now)
    except ConnectorRefused as error:
        raise ConnectorNotAsked("this connector may not be asked now", got=error.got, action=error.action) from error


def _url(base: str, asked: RemoteCatalogueIn) -> str:
    if asked.dataset:
        return f"{base}/catalog/datasets/{quote(asked.dataset, safe='')}"
    return asked.next or f"{base}/catalog/request"


def _called(question: Question, runtime: Runtime) -> Answer:
    settings = runtime.settings.model_copy(
        update={"outgoing_answer_kib": runtime.settings.dataspace_catalogue_kib},
    )
    headers = {"Authorization": question.authorization, "Accept": "application/json"}
    if question.message is None:
        return outgoing.get(question.url, headers=headers, settings=settings, origins=question.origins)
    body = json.dumps(question.message, ensure_ascii=False).encode()
    headers["Content-Type"] = "application/json"
    return outgoing.post(question.url, body, headers=headers, settings=settings, origins=question.origins)


def _refusal(answer: Answer) -> PeerRefused:
    """What the other side's error means here: its code if it is a code, never its words."""
    try:
        said = read_strictly(answer.body)
    except Invalid:
        said = None
    code = said.get("code") if isinstance(said, dict) else None
    known = code if isinstance(code, str) and _CODE.fullmatch(code) else "no code"
    missing = answer.status == _NOT_FOUND
    return PeerRefused(
        "the connector shows no such thing" if missing else "the connector refuses to answer",
        expected=str(_OK),
        got=f"{answer.status} {known}",
        action="check address and data set" if missing else "ask who runs the connector, with this code",
    )
