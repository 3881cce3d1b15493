"""The pages of proof: the log, one entry in its tree, checking a certificate or a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from marketplace.assets import queries as assets
from marketplace.audit import queries as log
from marketplace.audit import service as proofs
from marketplace.audit.client import has_keys, public_keys
from marketplace.audit.models import Entry
from marketplace.console import bundles, codes, formats, views
from marketplace.console.frame import Lang, nothing_here, page, runtime_of
from marketplace.console.reader import Reader
from marketplace.console.words import Language, say
from marketplace.kernel.errors import NotFound
from marketplace.registration import queries as registration
from marketplace.registration import shown

ENTRIES = 100
LONGEST = 100
SHA256_DIGITS = 64

routes = APIRouter()


@dataclass(frozen=True)
class Outcome:
    """What a check found.  certificate, checks, notes: what the page of a certificate or of a bundle adds."""

    good: bool
    headline: str
    detail: str = ""
    certificate: dict[str, Any] | None = None
    checks: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()


@routes.get("/entries")
def show_entries(request: Request, language: Lang, before: Annotated[str, Query()] = "") -> HTMLResponse:
    """The latest checkpoint and a page of entries, newest first, without their bodies."""
    runtime = runtime_of(request)
    limit = int(before) if before.isdecimal() and len(before) < 16 else None
    with runtime.database.reading() as db:
        checkpoint = log.latest_checkpoint(db)
        rows = views.entry_rows(Reader(db, runtime.clock.now(), language), limit, ENTRIES)
    older = rows[-1]["leaf"] if rows and rows[-1]["leaf"] else None
    note = checkpoint.note if checkpoint else ""
    return page(request, language, "entries.html", note=note, rows=rows, older=older, newest=limit is None)


@routes.get("/entries/{entry_id}")
def show_entry(request: Request, language: Lang, entry_id: str) -> HTMLResponse:
    """One entry's place in the tree, with its inclusion proof; the body stays with those who may read it."""
    runtime = runtime_of(request)
    with runtime.database.reading() as db:
        entry = db.get(Entry, entry_id)
        try:
            proof = proofs.prove(db, entry.id) if entry else None
        except NotFound:
            proof = None
        if entry is None or proof is None:
            return nothing_here(request, language)
        values: dict[str, Any] = {
            "leaf": proof.index,
            "event": views.event_of(Reader(db, runtime.clock.now(), language), entry),
            "when": formats.minute(entry.at, language),
            "leaf_hash": proof.leaf.hex(),
            "size": proof.size,
            "root": proof.root,
            "proof": [node.hex() for node in proof.path],
        }
    return page(request, language, "entry.html", **values)


@routes.get("/verify")
def show_verify(request: Request, language: Lang, code: Annotated[str, Query()] = "") -> HTMLResponse:
    """Check a certificate by its code or by a hash."""
    asked, outcome = code.strip()[:LONGEST], None
    if asked:
        runtime = runtime_of(request)
        with runtime.database.reading() as db:
            outcome = _certificate_outcome(Reader(db, runtime.clock.now(), language), asked)
    return page(request, language, "verify.html", code=asked, outcome=outcome)


@routes.post("/verify")
async def verify_bundle(request: Request, language: Lang) -> HTMLResponse:
    """Check an uploaded bundle with the independent verifier in a process of its own."""
    settings = runtime_of(request).settings
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
    return page(request, language, "verify.html", code="", outcome=_bundle_outcome(report, language))


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
    return page(request, language, "verify.html", status, code="", outcome=outcome)
