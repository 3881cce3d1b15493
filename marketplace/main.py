"""The front door: builds a running instance from settings, and the web application from an instance."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi_offline import FastAPIOffline
from sqlmodel import Session

from marketplace import __version__, openapi
from marketplace.accounting import routes as accounting
from marketplace.assets import routes as assets
from marketplace.audit import routes as audit
from marketplace.audit.entry import Tag, record
from marketplace.audit.evidence import EvidencedSession
from marketplace.audit.receipts import Promises
from marketplace.audit.succession import effective
from marketplace.charging import routes as charging
from marketplace.collection import routes as collection
from marketplace.console import routes as console
from marketplace.costing import routes as costing
from marketplace.dataspace import door
from marketplace.dataspace import routes as dataspace
from marketplace.dataspace.addresses import PREFIX
from marketplace.exchange import catalogue_routes as catalogue
from marketplace.exchange import routes as exchange
from marketplace.exchange.dcat import routes as dcat
from marketplace.governance import routes as governance
from marketplace.kernel.actor import Actor
from marketplace.kernel.clock import Clock, SystemClock
from marketplace.kernel.errors import DomainError
from marketplace.ledger import routes as ledger
from marketplace.legal import routes as legal
from marketplace.negotiation import routes as negotiation
from marketplace.negotiation.duties import routes as duties
from marketplace.negotiation.rounds import routes as rounds
from marketplace.negotiation.succession import routes as succession
from marketplace.participants import routes as participants
from marketplace.participants.authentication import authenticate, judge_headers, recognise
from marketplace.planning import routes as planning
from marketplace.plumbing import health, problems, telemetry
from marketplace.plumbing.db import Database
from marketplace.plumbing.limits import Limits
from marketplace.plumbing.policy import OpaEngine, PolicyEngine, RegorusEngine
from marketplace.plumbing.problems import Unauthenticated
from marketplace.plumbing.runtime import Runtime
from marketplace.plumbing.s3 import S3Store
from marketplace.plumbing.sandbox import ParsePool
from marketplace.plumbing.servicekey import pseudonym_secret, service_key
from marketplace.plumbing.storage import FolderStore, ObjectStore
from marketplace.plumbing.strings import NoNul
from marketplace.plumbing.web import was_counted
from marketplace.registration import routes as registration
from marketplace.settings import Settings
from marketplace.settlement import routes as settlement
from marketplace.transfer import decision_routes as decisions
from marketplace.transfer import notice_routes as notices
from marketplace.transfer import routes as transfer
from marketplace.usage.policies import routes as policies

POLICY_FOLDER = Path(__file__).resolve().parent.parent / "policies"

# The one that is asked most stands first.
ROUTERS: tuple[APIRouter, ...] = (
    decisions.routes,
    participants.routes,
    assets.routes,
    accounting.routes,
    collection.routes,
    governance.routes,
    legal.routes,
    registration.routes,
    exchange.routes,
    catalogue.routes,
    dcat.routes,
    negotiation.routes,
    duties.routes,
    rounds.routes,
    policies.routes,
    policies.public,
    succession.routes,
    charging.routes,
    settlement.routes,
    transfer.routes,
    notices.routes,
    dataspace.routes,
    costing.routes,
    planning.routes,
    ledger.routes,
    audit.routes,
    console.routes,
    health.routes,
)


def build_runtime(settings: Settings, clock: Clock | None = None) -> Runtime:
    """Open every part of an instance.  The caller closes it."""
    telemetry.configure(settings)
    settings.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(settings.effective_database_url, session_class=EvidencedSession)
    return Runtime(
        settings=effective(settings, database),
        database=database,
        clock=clock or SystemClock(),
        store=object_store(settings),
        policy=policy_engine(settings),
        pool=ParsePool(settings.parse_workers, settings.parse_memory_mib, settings.parse_seconds),
        service_key=service_key(settings.data_folder),
        pseudonym_secret=pseudonym_secret(settings.data_folder),
    )


class EdgeGate(Promises):
    """What the edge needs from upper rooms: who calls, where a raised refusal is recorded, who signs receipts."""

    def judge_headers(self, request: Request, now: datetime) -> None:
        limits = Limits.of(request)
        try:
            participant = judge_headers(request, now, self._runtime)
        except Unauthenticated as error:
            limits.refused(request, error)
            raise
        limits.known(participant)

    def authenticate(self, db: Session, request: Request, now: datetime) -> Actor:
        limits = Limits.of(request)
        try:
            actor = authenticate(db, request, now, self._runtime)
        except Unauthenticated as error:
            limits.refused(request, error)
            raise
        if not was_counted(request):
            limits.known(actor.participant)
        return actor

    def recognise(self, db: Session, request: Request, now: datetime) -> tuple[Actor, Callable[[Session], None]]:
        limits = Limits.of(request)
        try:
            found = recognise(db, request, now, self._runtime)
        except Unauthenticated as error:
            limits.refused(request, error)
            raise
        limits.known(found.actor.participant)
        return found.actor, found.spend

    def record_refusal(self, db: Session, actor: Actor, route: str, error: DomainError, now: datetime) -> None:
        record(db, actor, Tag.REQUEST_REFUSED, now, facts={"route": route, "reason": error.slug})


def create_app(runtime: Runtime) -> FastAPI:
    """The web application over an instance: REST, log, console; `/docs` needs no remote host."""
    app: FastAPI = FastAPIOffline(  # gives Swagger UI's own files; the page that shows them is the console's
        docs_url=None,
        redoc_url=None,
        title="Medical data marketplace",
        version=__version__,
        summary="A trusted data space and exchange for medical data assets.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        # What the process tells about itself is `plumbing.telemetry`'s; the framework's would tell what callers sent.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.runtime = runtime
    app.state.gate = EdgeGate(runtime)
    problems.install(app)
    app.add_middleware(NoNul)
    console.install(app)
    asked_most, *others = ROUTERS
    # In the application itself: an included router is searched twice, and derives its routes again in each application.
    app.router.routes[:0] = asked_most.routes
    app.mount(PREFIX, door.create(app))  # behind the others a message would be compared with hundreds of paths first
    for routes in others:
        app.router.routes.extend(routes.routes)
    openapi.install(app)
    return app


def object_store(settings: Settings) -> ObjectStore:
    """Where file contents lie, by the settings."""
    if settings.object_store_url:
        return S3Store(settings)
    return FolderStore(settings.data_folder / "objects")


def policy_engine(settings: Settings) -> PolicyEngine:
    """The engine that the settings name, on the policies of this release."""
    match settings.policy_engine:
        case "opa":
            return OpaEngine(settings, POLICY_FOLDER)
        case "regorus":
            return RegorusEngine(POLICY_FOLDER)
