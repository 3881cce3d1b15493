"""A finished small market with one of everything, arranged by the real verbs, and the identities that knock on it.

The matrix of rights and the API fuzzer run over it: every path parameter has an object behind it, every body a valid
form, and what only its owner may see carries a planted marker.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from marketplace.accounting import closing
from marketplace.accounting.schemas import PeriodClosingIn
from marketplace.assets import queries as assets
from marketplace.assets import service as passport
from marketplace.assets.models import Version, VersionFile
from marketplace.audit.models import Entry
from marketplace.client.api import ApiClient, in_process
from marketplace.dataspace.beginning import ask_for_contract
from marketplace.dataspace.holding import hold
from marketplace.dataspace.house import House as ByTheHouse
from marketplace.exchange.demands import publish_demand
from marketplace.exchange.schemas import DemandIn
from marketplace.governance.models import AssetSecret, GovernanceJob
from marketplace.kernel.actor import Actor, Role
from marketplace.kernel.canonical import canonical
from marketplace.kernel.signing import generate_key
from marketplace.legal.models import OpinionCondition
from marketplace.main import create_app
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation import stopping
from marketplace.participants import connectors, service
from marketplace.participants.schemas import ConnectorIn, ParticipantIn
from marketplace.registration import objections
from marketplace.registration import queries as registration
from marketplace.registration.schemas import ObjectionIn
from marketplace.settlement import billing, choosing, paying
from marketplace.settlement.bank import orders
from marketplace.settlement.payables.queries import owed_by
from marketplace.settlement.schemas import BankAccountIn
from marketplace.transfer import delivery
from marketplace.transfer.models import StopNotice
from seeds.cast import credit_code
from tests.exchange.parts import certified, listed, submitted
from tests.house import House, SeedParty, open_house
from tests.legal.parts import assess, condition, governed
from tests.legal.parts import registration as asset_form
from tests.negotiation.parts import WHY, approve, requested, sign
from tests.negotiation.succession.parts import amended
from tests.registration.parts import assessed, filed, noticed
from tests.usage.agreed import dicom, row
from workers.relay import run_due

IDENTITIES = {
    "anonymous": None,
    "owner": "hospital",
    "other_provider": "clinic",
    "buyer": "pharma",
    "other_buyer": "ai_company",
    "firm": "law_firm",
    "other_firm": "law_firm_2",
    "registrar": "registrar",
    "other_registrar": "registrar_2",
    "exchange": "exchange",
    "other_exchange": "exchange_2",
    "auditor": "auditor",
    "operator": "operator",
}
_MORE = {
    "clinic": Role.PROVIDER,
    "law_firm_2": Role.LAW_FIRM,
    "registrar_2": Role.REGISTRAR,
    "exchange_2": Role.EXCHANGE_OPERATOR,
}
AGREEMENT_STATES = ("drafted", "signed_by_buyer", "finalized", "suspended", "terminated", "expired", "superseded")

# Planted where only some may look; `reads` names who.
DRAFT_ASSET = "PLANTED-DRAFT-ASSET-7Q"
EVIDENCE = "PLANTED-EVIDENCE-3X"
JUSTIFICATION = "PLANTED-JUSTIFICATION-9K"
PERSON = "PLANTED-PERSON-5D"
REQUEST = "PLANTED-REQUEST-2W"
OPINION = "PLANTED-OPINION-8R"
_ASSESSORS = frozenset({"firm", "other_firm", "registrar", "other_registrar", "exchange", "other_exchange", "auditor"})
CONNECTOR = "https://connector.example:443"
SILENT_CONNECTOR = "http://127.0.0.1:1"
"""Registered too: where nobody listens, so that a question is answered at once, without a name server."""
MARKERS = {
    DRAFT_ASSET: _ASSESSORS | {"owner"},
    EVIDENCE: _ASSESSORS | {"owner"},
    OPINION: _ASSESSORS | {"owner"},
    JUSTIFICATION: frozenset({"owner", "buyer"}),
    REQUEST: frozenset({"owner", "other_buyer"}),
    PERSON: frozenset({"owner", "auditor"}),
}


@dataclass
class Story:
    """The house, its application over HTTP, a client per identity, and an id for every path parameter.

    ids: by parameter name, or by `operation_id.parameter` where one operation needs another object.
    """

    house: House
    http: Any
    clients: dict[str, ApiClient | None]
    ids: dict[str, str] = field(default_factory=dict)

    def id(self, operation: str, parameter: str) -> str:
        return self.ids.get(f"{operation}.{parameter}") or self.ids[parameter]


@contextmanager
def open_story(folder: Path, *, database_url: str = "", public_url: str = "") -> Iterator[Story]:
    """Arrange everything once; the agreement is drafted (`roll_agreement` takes it further)."""
    with open_house(folder, database_url) as opened:
        house = _at(opened, public_url) if public_url else opened
        ids = _arrange(house)
        for number, (name, role) in enumerate(_MORE.items()):
            house.cast[name] = _admit(house, name, role, number)
        base = house.runtime.settings.public_url
        with in_process(create_app(house.runtime), base) as http:
            clients = {
                identity: None
                if name is None
                else ApiClient(http, base, house.cast[name].id, house.cast[name].key, house.clock)
                for identity, name in IDENTITIES.items()
            }
            story = Story(house, http, clients, ids)
            _over_http(story)
            yield story


def _at(house: House, public_url: str) -> House:
    """The same house under another public address."""
    settings = house.runtime.settings.model_copy(update={"public_url": public_url})
    return replace(house, runtime=replace(house.runtime, settings=settings))


def _admit(house: House, name: str, role: Role, number: int) -> SeedParty:
    """One more participant, by the operator."""
    key, operator, now = generate_key(), house.cast["operator"].actor, house.clock.now()
    form = {
        "legal_name": f"示例{name}",
        "legal_name_en": f"Example {name}",
        "credit_code": credit_code(f"91999999{900 + number:09d}"),
        "kind": "hospital",
        "roles": [str(role)],
        "verified_by": "example registry",
        "verification_method": "example",
        "is_example": True,
    }
    with house.db() as db:
        made = service.admit(db, operator, ParticipantIn.model_validate(form), now)
        service.register_key(db, operator, made.id, key.public_jwk, now)
    return SeedParty(made.id, key, Actor(made.id, frozenset({str(role)}), kid=key.kid))


def _demand(house: House) -> str:
    asked = DemandIn(title="示例需求：胸部CT", purpose="scientific_research")
    with house.db() as db:
        return publish_demand(db, house.cast["pharma"].actor, asked, house.clock.now()).id


def _arrange(house: House) -> dict[str, str]:
    version = certified(house)
    _files(house, version)
    listing = listed(house, version)
    agreement = approve(house, requested(house, listing, justification=JUSTIFICATION))
    opinion = _opinion_with_condition(house)
    pending, reviewed = filed(house, assessed(house)), submitted(house)
    notice = _stopped(house, listing)
    invoice, order = _billed(house)
    objected = noticed(house, assessed(house))
    objection = _objection(house, objected.id)
    draft, job = _draft(house, version)
    with house.db() as db:
        condition_id = db.exec(select(OpinionCondition.id).where(OpinionCondition.opinion_id == opinion)).first()
        certificate = registration.valid_certificate(db, assets.version(db, version.id), house.clock.now())
        assert certificate is not None
        entry = db.exec(select(Entry.id).where(col(Entry.asset) == version.asset_id)).first()
        documents = {"document": agreement.document, "certificate": certificate.document}
    return {
        "participant_id": house.cast["hospital"].id,
        "kid": house.cast["hospital"].key.kid,
        "asset_id": version.asset_id,
        "version_id": version.id,
        "sha256": str(documents["document"]),
        "batch": "batch-1",
        "job_id": job,
        "opinion_id": opinion,
        "condition_id": str(condition_id),
        "application_id": pending.id,
        "raise_objection.application_id": objected.id,
        "settle_objection.application_id": objected.id,
        "objection_id": objection,
        "code": certificate.code,
        **_connector(house),
        "offer_id": listing.offer_id,
        "listing_id": listing.id,
        "review_listing.listing_id": reviewed.id,
        "notice_id": notice,
        "demand_id": _demand(house),
        "request_id": requested(house, listing, "ai_company", justification=REQUEST).id,
        "agreement_id": agreement.id,
        "earlier_id": agreement.id,
        "invoice_id": invoice,
        "order_id": order,
        "event_id": _payable(house),
        "path": "nowhere.dcm",
        "entry_id": str(entry),
        "level": "0",
        "get_tile.path": "000.p/1",
        "get_entry_bundle.path": "000.p/1",
        "draft_version": draft,
        "period": "2026-08",
        "close_period.period": "2026-08",
        "reopen_period.period": _closed_month(house, "2026-07"),
    } | {f"{one}.version_id": draft for one in ON_DRAFT}


ON_DRAFT = (
    "put_files",
    "seal_version",
    "sign_collection_record",
    "prepare_face_declaration",
    "sign_face_declaration",
    "start_governance",
    "list_left_out_files",
)


def _files(house: House, version: Version, pixels: int = 64) -> None:
    """Two real slices and a manifest below the version, so that a delivery can be made of it.  pixels: of each side.

    The rows are changed behind the market's back: no entry says so.
    """
    manifest = house.runtime.store.put([b'{"files":[]}'], limit=1 << 10).sha256
    with Session(house.runtime.database.engine) as db:
        db.exec(update(Version).where(col(Version.id) == version.id).values(manifest=manifest))
        for number in range(2):
            stored = house.runtime.store.put([dicom(number, pixels)], limit=1 << 24)
            path = f"1.2.3.10000/1.2.3.20000/1.2.3.3000{number}.dcm"
            sent = {"sha256": stored.sha256, "bytes": stored.size, "study": "0", "path": path}
            db.add(VersionFile(version_id=version.id, position=number, **sent))
        db.commit()


def roll_agreement(story: Story, state: str) -> None:
    """Bring the agreement to the next of AGREEMENT_STATES; `expired` and `superseded` start from `finalized`."""
    house, agreement = story.house, story.ids["agreement_id"]
    hospital, now = house.cast["hospital"].actor, house.clock.now()
    with house.db() as db:
        found = negotiation.agreement(db, agreement)
    match state:
        case "signed_by_buyer":
            sign(house, found, "pharma")
        case "finalized":
            sign(house, found, "hospital")
            delivery.prepare(house.runtime, agreement)
        case "suspended":
            with house.db() as db:
                stopping.suspend(db, hospital, negotiation.agreement(db, agreement), WHY, now)
        case "terminated":
            with house.db() as db:
                stopping.terminate(db, hospital, negotiation.agreement(db, agreement), WHY, now)
        case "expired":
            house.clock.advance(timedelta(days=366))
        case "superseded":
            amended(house, agreement, parameters={"max_uses": 9})


def _connector(house: House) -> dict[str, str]:
    """A registered component of a provider elsewhere, a negotiation that the buyer opened with it, and one agreed."""
    asked = ConnectorIn(
        participant_id=house.cast["ai_company"].id,
        identifier="did:web:connector.example",
        software="example-connector",
        software_version="1.0",
        jwk=generate_key().public_jwk,
        addresses=[CONNECTOR, SILENT_CONNECTOR],
        certified_by="Example certifier",
        certificate_number="EX-0",
        certified_until=house.clock.now() + timedelta(days=3650),
    )
    offer = {"@id": "offer-1", "@type": "Offer", "target": "dataset-1", "permission": [{"action": "use"}]}
    now, rt = house.clock.now(), house.runtime
    with house.db() as db:
        made = connectors.register(db, house.cast["operator"].actor, asked, now)
        where = made.id, f"{CONNECTOR}/dsp/provider/2025-1"
        opened = ask_for_contract(db, house.cast["pharma"].actor, *where, offer, ByTheHouse(), rt, now)
        opened.peer_pid = "theirs"
        db.add(opened)
        agreed = ask_for_contract(db, house.cast["pharma"].actor, *where, offer, ByTheHouse(), rt, now)
        agreed.state, agreed.agreement = "FINALIZED", offer | {"@id": "urn:agreement:1", "@type": "Agreement"}
        db.add(agreed)
        held = hold(db, agreed, {"eventType": "FINALIZED"}, rt.service_key, now)
        return {"connector_id": made.id, "exchange_id": opened.id, "held_id": held.id}


def _opinion_with_condition(house: House) -> str:
    version = governed(house)
    return assess(
        house,
        version,
        number="EX-OP-C",
        reservations=[OPINION],
        item19=condition(house, house.clock.now() + timedelta(days=30)),
    ).id


def _stopped(house: House, listing: Any) -> str:
    """Another buyer's agreement that was suspended, and the notice that it got."""
    agreement = approve(house, requested(house, listing, "insurer"))
    sign(house, agreement, "insurer")
    sign(house, agreement, "hospital")
    with house.db() as db:
        found, hospital = negotiation.agreement(db, agreement.id), house.cast["hospital"].actor
        stopping.suspend(db, hospital, found, WHY, house.clock.now())
    run_due(house.runtime)
    with house.db() as db:
        return db.exec(select(StopNotice.id)).one()


def _billed(house: House) -> tuple[str, str]:
    """The invoice of that buyer, paid, and the order that pays the hospital's share of it."""
    exchange, now = house.cast["exchange"].actor, house.clock.now()
    for name in ("exchange", "hospital"):
        with house.db() as db:
            account = BankAccountIn(holder="示例户名", account="6222000011112222", bank="102100099996")
            choosing.set_account(db, house.cast[name].actor, account, now)
    with house.db() as db:
        invoice = billing.issue(db, exchange, exchange.participant, house.cast["insurer"].id, now)
        assert invoice is not None
        paying.pay(db, exchange, invoice, "example", invoice.total_fen, now)
        return invoice.id, orders.order_payments(db, exchange, now).id


def _payable(house: House) -> str:
    """What the hospital owes for a stage."""
    with house.db() as db:
        return owed_by(db, house.cast["hospital"].id)[0].meter_event


def _closed_month(house: House, period: str) -> str:
    """A month of the books that the platform operator closed."""
    operator, now = house.cast["operator"], house.clock.now()
    with house.db() as db:
        content = closing.document_to_sign(db, operator.actor, period, now)
        jws = operator.key.sign_detached(canonical(content), typ="period-close+jws")
        asked = PeriodClosingIn.model_validate({"document": content, "jws": jws})
        return closing.close(db, operator.actor, period, asked, now).period


def _objection(house: House, application: str) -> str:
    with house.db() as db:
        found = registration.noticed_application(db, application, house.clock.now())
        asked = ObjectionIn(grounds="we hold these rights")
        actor = house.cast["ai_company"].actor
        return objections.object_to(db, actor, found, asked, house.clock.now()).id


def _draft(house: House, version: Version) -> tuple[str, str]:
    """An asset that nobody listed with a draft version, and a governance job over it."""
    now, hospital = house.clock.now(), house.cast["hospital"].actor
    with house.db() as db:
        hidden = passport.register(db, hospital, asset_form(name=DRAFT_ASSET, name_en=DRAFT_ASSET), now)
        draft = passport.open_version(db, hidden, now, kind="raw")
        row(db, AssetSecret, now=now, asset_id=hidden.id, secret=bytes(32))
        job = row(
            db, GovernanceJob, now=now, id="gov_" + "1" * 32, asset_id=hidden.id, raw_version_id=draft.id,
            secret_id=hidden.id, state="queued",
        )  # fmt: skip
        return draft.id, str(job.id)


def _over_http(story: Story) -> None:
    """What is simplest as a client: a piece of evidence, and a person who acted."""
    owner = story.clients["owner"]
    assert owner is not None
    sent = {"asset": story.ids["asset_id"], "kind": "ethics_approval", "title": EVIDENCE, "text": EVIDENCE}
    story.ids["get_evidence.sha256"] = owner.post("/v1/evidence", sent)["sha256"]
    party = story.house.cast["hospital"]
    person = ApiClient(
        story.http, story.house.runtime.settings.public_url, party.id, party.key, story.house.clock, person=PERSON
    )
    person.get("/v1/assets")
    (known,) = person.get("/v1/persons")["items"]
    story.ids["commitment"] = known["commitment"]
