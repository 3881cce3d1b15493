"""The pages.  Anyone may read them; what belongs to parties is shown only for invented example assets."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Query, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from sqlmodel import Session, col, select

from marketplace.assets import queries as assets
from marketplace.audit import queries as log
from marketplace.audit import service as proofs
from marketplace.audit.models import Entry
from marketplace.console import views
from marketplace.console.views import Reader
from marketplace.console.words import Language, preferred, say
from marketplace.exchange import catalogue
from marketplace.exchange.models import MarketReference
from marketplace.kernel.errors import NotFound
from marketplace.negotiation.models import Agreement
from marketplace.plumbing.runtime import Runtime
from marketplace.registration import queries as registration

HERE = Path(__file__).parent
STATIC = {"style.css": "text/css", "icon.svg": "image/svg+xml"}
BUNDLE_LIMIT = 64 << 20
VERIFIER_SECONDS = 60
SHA256_DIGITS = 64
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

routes = APIRouter(include_in_schema=False)
pages = Environment(
    loader=PackageLoader("marketplace.console"), autoescape=select_autoescape(), undefined=StrictUndefined
)


def language_of(request: Request, lang: Annotated[str | None, Query(max_length=8)] = None) -> Language:
    """The page's language."""
    return preferred(request.headers.get("accept-language", ""), lang)


Lang = Annotated[Language, Depends(language_of)]


@routes.get("/")
def show_catalogue(request: Request, language: Lang, q: Annotated[str, Query(max_length=100)] = "") -> HTMLResponse:
    """What is listed and valid now, with search."""
    runtime = _runtime(request)
    with runtime.database.reading() as db:
        reader = Reader(db, runtime.clock.now(), language)
        cards = [views.card(reader, row) for row in catalogue.visible(db, reader.now, text=q, limit=48).rows]
    return _page(request, language, "catalogue.html", cards=cards, query=q)


@routes.get("/listings/{listing_id}")
def show_listing(request: Request, language: Lang, listing_id: str) -> HTMLResponse:
    """One listing with its passport, terms and, for examples, its books."""
    runtime = _runtime(request)
    with runtime.database.reading() as db:
        reader = Reader(db, runtime.clock.now(), language)
        try:
            row = catalogue.visible_listing(db, listing_id, reader.now)
        except NotFound:
            return _message(request, language, "not_found", 404)
        page = {"costs": None, "agreements": []} | views.listing_page(reader, row)
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
def show_entries(request: Request, language: Lang) -> HTMLResponse:
    """The latest checkpoint and the newest entries, without their bodies."""
    with _runtime(request).database.reading() as db:
        checkpoint = log.latest_checkpoint(db)
        rows = views.newest_entries(db, 100)
    note = checkpoint.note if checkpoint else ""
    return _page(request, language, "entries.html", note=note, rows=rows)


@routes.get("/entries/{entry_id}")
def show_entry(request: Request, language: Lang, entry_id: str) -> HTMLResponse:
    """One entry's place in the tree, with its inclusion proof; the body stays with those who may read it."""
    with _runtime(request).database.reading() as db:
        entry = db.get(Entry, entry_id)
        if entry is None:
            return _message(request, language, "not_found", 404)
        try:
            proof = proofs.prove(db, entry.id)
        except NotFound:
            return _message(request, language, "not_found", 404)
        page: dict[str, Any] = {
            "leaf": proof.index,
            "tag": entry.tag,
            "when": entry.at.strftime(views.MINUTE),
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
    return _page(request, language, "references.html", rows=rows)


@routes.get("/verify")
def show_verify(request: Request, language: Lang, code: Annotated[str, Query(max_length=80)] = "") -> HTMLResponse:
    """Check a certificate by its code or by a hash."""
    outcome = None
    if code:
        runtime = _runtime(request)
        with runtime.database.reading() as db:
            outcome = _certificate_outcome(db, code.strip(), runtime, language)
    return _page(request, language, "verify.html", code=code, outcome=outcome)


@routes.post("/verify")
async def verify_bundle(request: Request, language: Lang, file: Annotated[UploadFile, File()]) -> HTMLResponse:
    """Check an uploaded bundle with the independent verifier in a process of its own."""
    content = await file.read(BUNDLE_LIMIT + 1)
    if len(content) > BUNDLE_LIMIT:
        return _message(request, language, "does_not_hold", 413)
    good, words = await run_in_threadpool(_run_verifier, content)
    headline = say("holds" if good else "does_not_hold", language)
    outcome = {"good": good, "headline": headline, "words": words}
    return _page(request, language, "verify.html", code="", outcome=outcome)


@routes.get("/static/{name}")
def serve_static(name: str) -> Response:
    """The style sheet and the icon."""
    if name not in STATIC:
        return Response(status_code=404)
    headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return FileResponse(HERE / "static" / name, media_type=STATIC[name], headers=headers)


def _run_verifier(bundle: bytes) -> tuple[bool, str]:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(bundle)
        file.flush()
        command = [sys.executable, "-m", "marketplace.audit.verifier", file.name]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=VERIFIER_SECONDS, check=False, cwd=HERE.parents[1]
            )
        except subprocess.TimeoutExpired:
            return False, f"not finished after {VERIFIER_SECONDS} s"
        return done.returncode == 0, (done.stdout or done.stderr).replace(file.name, "bundle")[:20_000]


def _certificate_outcome(db: Session, code: str, runtime: Runtime, language: Language) -> dict[str, Any]:
    now = runtime.clock.now()
    by_hash = registration.certificates_by_hash(db, code) if len(code) == SHA256_DIGITS else []
    try:
        found = by_hash[0] if by_hash else registration.certificate(db, code)
    except NotFound:
        return {"good": False, "headline": say("not_found", language), "words": ""}
    state = registration.certificate_status(found, now)
    words = f"{found.code}  {say('valid_until', language)} {found.valid_until:%Y-%m-%d}\nSHA-256 {found.document}"
    return {"good": state == "valid", "headline": say(str(state), language), "words": words}


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _message(request: Request, language: Language, word: str, status: int) -> HTMLResponse:
    return _page(request, language, "message.html", status=status, message=say(word, language))


def _page(request: Request, language: Language, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    body = pages.get_template(template).render(
        language=language, path=request.url.path, t=lambda word: say(word, language), **values
    )
    headers = HEADERS | {"Content-Language": "zh-CN" if language == "zh" else "en", "Vary": "Accept-Language"}
    return HTMLResponse(body, status_code=status, headers=headers)
