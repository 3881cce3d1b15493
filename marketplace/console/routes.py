"""The pages.  Anyone may read them; what belongs to parties is shown only for invented example assets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from sqlmodel import col, select
from starlette.exceptions import HTTPException

from marketplace.assets import queries as assets
from marketplace.audit import queries as log
from marketplace.audit import service as proofs
from marketplace.audit.client import has_keys, public_keys
from marketplace.audit.models import Entry
from marketplace.console import bundles, codes, formats, views
from marketplace.console.reader import Reader
from marketplace.console.words import Language, preferred, say
from marketplace.exchange import catalogue
from marketplace.exchange.catalogue import Wanted
from marketplace.exchange.models import MarketReference
from marketplace.kernel.canonical import sha256_hex
from marketplace.kernel.errors import NotFound
from marketplace.negotiation.models import Agreement
from marketplace.plumbing import problems
from marketplace.plumbing.limits import count_unknown
from marketplace.plumbing.runtime import Runtime
from marketplace.registration import queries as registration
from marketplace.registration import shown

HERE = Path(__file__).parent
STATIC = {"style.css": "text/css", "icon.svg": "image/svg+xml", "docs.js": "text/javascript"}
ENTRIES = 100
LONGEST = 100
SHA256_DIGITS = 64
COMMON = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
CLOSED = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; "
POLICY = CLOSED + "style-src 'self'; img-src 'self'"
# The page of the API alone runs a script: Swagger UI, served from here; it styles its elements itself.
DOCS_POLICY = CLOSED + (
    "script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; font-src 'self'"
)
# Addresses of machines: they get problem documents whatever they say they accept.
MACHINE_PATHS = ("/v1/", "/log/", "/oauth/", "/.well-known/", "/openapi.json")

routes = APIRouter(include_in_schema=False, dependencies=[Depends(count_unknown)])
pages = Environment(
    loader=PackageLoader("marketplace.console"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def language_of(request: Request) -> Language:
    """The page's language."""
    return preferred(request.headers.get("accept-language", ""), request.query_params.get("lang"))


Lang = Annotated[Language, Depends(language_of)]


@dataclass(frozen=True)
class Outcome:
    """What a check found.  certificate, checks, notes: what the page of a certificate or of a bundle adds."""

    good: bool
    headline: str
    detail: str = ""
    certificate: dict[str, Any] | None = None
    checks: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()


@routes.get("/")
def show_catalogue(request: Request, language: Lang, q: Annotated[str, Query()] = "") -> HTMLResponse:
    """What is listed and valid now, with search."""
    runtime = _runtime(request)
    with runtime.database.reading() as db:
        reader = Reader(db, runtime.clock.now(), language)
        query = q.strip()[:LONGEST]
        page = catalogue.visible(db, reader.now, Wanted(text=query), limit=48)
        cards = [views.card(reader, row) for row in page.rows]
    return _page(request, language, "catalogue.html", cards=cards, query=query)


@routes.get("/listings/{listing_id}")
def show_listing(request: Request, language: Lang, listing_id: str) -> HTMLResponse:
    """One listing with its passport, terms and, for examples, its books."""
    runtime = _runtime(request)
    with runtime.database.reading() as db:
        reader = Reader(db, runtime.clock.now(), language)
        try:
            row = catalogue.visible_listing(db, listing_id, reader.now)
        except NotFound:
            return _nothing_here(request, language)
        page = views.listing_page(reader, row)
    return _page(request, language, "listing.html", **page)


@routes.get("/agreements/{agreement_id}")
def show_agreement(request: Request, language: Lang, agreement_id: str) -> HTMLResponse:
    """An agreement about an example asset; any other one belongs to its parties."""
    runtime = _runtime(request)
    with runtime.database.reading() as db:
        agreement = db.get(Agreement, agreement_id)
        if agreement is None or not assets.asset(db, agreement.asset_id).is_example:
            return _message(request, language, "private", 404)
        page = views.agreement_page(Reader(db, runtime.clock.now(), language), agreement)
    return _page(request, language, "agreement.html", **page)


@routes.get("/entries")
def show_entries(request: Request, language: Lang, before: Annotated[str, Query()] = "") -> HTMLResponse:
    """The latest checkpoint and a page of entries, newest first, without their bodies."""
    runtime = _runtime(request)
    limit = int(before) if before.isdecimal() and len(before) < 16 else None
    with runtime.database.reading() as db:
        checkpoint = log.latest_checkpoint(db)
        rows = views.entry_rows(Reader(db, runtime.clock.now(), language), limit, ENTRIES)
    older = rows[-1]["leaf"] if rows and rows[-1]["leaf"] else None
    note = checkpoint.note if checkpoint else ""
    return _page(request, language, "entries.html", note=note, rows=rows, older=older, newest=limit is None)


@routes.get("/entries/{entry_id}")
def show_entry(request: Request, language: Lang, entry_id: str) -> HTMLResponse:
    """One entry's place in the tree, with its inclusion proof; the body stays with those who may read it."""
    runtime = _runtime(request)
    with runtime.database.reading() as db:
        entry = db.get(Entry, entry_id)
        try:
            proof = proofs.prove(db, entry.id) if entry else None
        except NotFound:
            proof = None
        if entry is None or proof is None:
            return _nothing_here(request, language)
        page: dict[str, Any] = {
            "leaf": proof.index,
            "event": views.event_of(Reader(db, runtime.clock.now(), language), entry),
            "when": formats.minute(entry.at, language),
            "leaf_hash": proof.leaf.hex(),
            "size": proof.size,
            "root": proof.root,
            "proof": [node.hex() for node in proof.path],
        }
    return _page(request, language, "entry.html", **page)


@routes.get("/references")
def show_references(request: Request, language: Lang) -> HTMLResponse:
    """Products that public sources report from elsewhere."""
    with _runtime(request).database.reading() as db:
        rows = db.exec(select(MarketReference).order_by(col(MarketReference.date), col(MarketReference.id))).all()
    prices = {row.id: formats.money(row.price_fen, language) for row in rows if row.price_fen is not None}
    return _page(request, language, "references.html", rows=rows, prices=prices)


@routes.get("/verify")
def show_verify(request: Request, language: Lang, code: Annotated[str, Query()] = "") -> HTMLResponse:
    """Check a certificate by its code or by a hash."""
    asked, outcome = code.strip()[:LONGEST], None
    if asked:
        runtime = _runtime(request)
        with runtime.database.reading() as db:
            outcome = _certificate_outcome(Reader(db, runtime.clock.now(), language), asked)
    return _page(request, language, "verify.html", code=asked, outcome=outcome)


@routes.post("/verify")
async def verify_bundle(request: Request, language: Lang) -> HTMLResponse:
    """Check an uploaded bundle with the independent verifier in a process of its own."""
    settings = _runtime(request).settings
    try:
        content = await bundles.uploaded(request)
        keys = public_keys(settings) if has_keys(settings) else None
        own = bundles.Keys(str(keys.log), str(keys.witness)) if keys else None
        report = await run_in_threadpool(bundles.check, content, own)
    except bundles.TooLarge:
        return _failed_check(request, language, "too_large", 413)
    except bundles.NoFile:
        return _failed_check(request, language, "no_file", 400)
    except bundles.Busy:
        return _failed_check(request, language, "too_busy", 503)
    except bundles.TooLong:
        return _failed_check(request, language, "too_long", 422)
    return _page(request, language, "verify.html", code="", outcome=_bundle_outcome(report, language))


@routes.get("/docs")
def show_api(request: Request, language: Lang) -> HTMLResponse:
    """The API as a page to read and try; everything it loads is served from here."""
    answer = _page(request, language, "docs.html")
    answer.headers["Content-Security-Policy"] = DOCS_POLICY
    return answer


@routes.get("/static/{name}")
def serve_static(name: str) -> Response:
    """The style sheet, the icon, and the few lines that start the page of the API."""
    if name not in STATIC:
        raise HTTPException(404)
    headers = COMMON | {"Cache-Control": "public, max-age=3600"}
    return FileResponse(HERE / "static" / name, media_type=STATIC[name], headers=headers)


def install(app: FastAPI) -> None:
    """Answer an unknown address with a page when a browser asks; machines keep their problem documents."""

    @app.exception_handler(404)
    async def _unknown(request: Request, error: HTTPException) -> Response:
        machine = request.url.path.startswith(MACHINE_PATHS)
        if machine or "text/html" not in request.headers.get("accept", ""):
            return problems.http_problem(error)
        return _nothing_here(request, language_of(request))


def _certificate_outcome(reader: Reader, asked: str) -> Outcome:
    by_hash = registration.certificates_by_hash(reader.db, asked.lower()) if len(asked) == SHA256_DIGITS else []
    try:
        found = by_hash[-1] if by_hash else registration.certificate(reader.db, asked.upper())
    except NotFound:
        return Outcome(False, reader.say("certificate_unknown"))
    seen = shown.certificate(reader.db, found, reader.now)
    certificate = {
        "code": seen.code,
        "asset": assets.asset(reader.db, seen.asset_id).name_en if reader.language == "en" else seen.asset_name,
        "registrar": reader.name_of(seen.registrar_id),
        "rights": [(reader.name_of(one.holder), reader.name(codes.RIGHTS, one.kind)) for one in seen.rights],
        "issued": formats.day(seen.issued_at, reader.language),
        "until": formats.day(seen.valid_until, reader.language),
        "document": seen.document,
        "root": seen.root,
    }
    return Outcome(seen.state == "valid", reader.say(f"certificate_{seen.state}"), certificate=certificate)


def _bundle_outcome(report: dict[str, Any], language: Language) -> Outcome:
    if report["unreadable"]:
        return Outcome(False, say("not_readable", language), detail=report["unreadable"])
    checks = [check | {"name": codes.name(codes.CHECKS, check["name"], language)} for check in report["checks"]]
    headline = say("holds" if report["ok"] else "does_not_hold", language)
    return Outcome(report["ok"], headline, checks=checks, notes=report["notes"])


def _failed_check(request: Request, language: Language, word: str, status: int) -> HTMLResponse:
    outcome = Outcome(False, say(word, language))
    return _page(request, language, "verify.html", status, code="", outcome=outcome)


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _nothing_here(request: Request, language: Language) -> HTMLResponse:
    return _message(request, language, "not_found", 404, "not_found_why")


def _message(request: Request, language: Language, word: str, status: int, why: str = "") -> HTMLResponse:
    detail = say(why, language) if why else ""
    return _page(request, language, "message.html", status, message=say(word, language), detail=detail)


def _page(request: Request, language: Language, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    body = pages.get_template(template).render(
        language=language,
        path=request.url.path,
        other_language=_in_other_language(request, language),
        t=lambda word: say(word, language),
        static=_static,
        **values,
    )
    headers = COMMON | {
        "Content-Security-Policy": POLICY,
        "Content-Language": "zh-CN" if language == "zh" else "en",
        "Vary": "Accept-Language",
    }
    return HTMLResponse(body, status_code=status, headers=headers)


@cache
def _static(name: str) -> str:
    """The address of a static file; it changes with the content, so that no browser keeps an old one."""
    return f"/static/{name}?v={sha256_hex((HERE / 'static' / name).read_bytes())[:12]}"


def _in_other_language(request: Request, language: Language) -> str:
    """This very page in the other language: the rest of its query stays."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return "?" + urlencode([*kept, ("lang", "en" if language == "zh" else "zh")])
