"""The frame in which every page stands: its language, its headers, its static files, the page that says no."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from marketplace.console.words import Language, preferred, say
from marketplace.kernel.canonical import sha256_hex
from marketplace.plumbing.runtime import Runtime

STATIC = Path(__file__).parent / "static"
COMMON = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
CLOSED = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; "
POLICY = CLOSED + "style-src 'self'; img-src 'self'"

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


def page(request: Request, language: Language, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page from its template, with the headers that every page has."""
    body = pages.get_template(template).render(
        language=language,
        path=request.url.path,
        other_language=_in_other_language(request, language),
        t=lambda word: say(word, language),
        static=static,
        **values,
    )
    headers = COMMON | {
        "Content-Security-Policy": POLICY,
        "Content-Language": "zh-CN" if language == "zh" else "en",
        "Vary": "Accept-Language",
    }
    return HTMLResponse(body, status_code=status, headers=headers)


def message(request: Request, language: Language, word: str, status: int, why: str = "") -> HTMLResponse:
    """A page that says one thing and, where there is more to say, why."""
    detail = say(why, language) if why else ""
    return page(request, language, "message.html", status, message=say(word, language), detail=detail)


def nothing_here(request: Request, language: Language) -> HTMLResponse:
    """What is not there, or is not shown to this reader."""
    return message(request, language, "not_found", 404, "not_found_why")


def runtime_of(request: Request) -> Runtime:
    """The instance that serves a request."""
    runtime: Runtime = request.app.state.runtime
    return runtime


@cache
def static(name: str) -> str:
    """The address of a static file; it changes with the content, so that no browser keeps an old one."""
    return f"/static/{name}?v={sha256_hex((STATIC / name).read_bytes())[:12]}"


def _in_other_language(request: Request, language: Language) -> str:
    """This very page in the other language: the rest of its query stays."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return "?" + urlencode([*kept, ("lang", "en" if language == "zh" else "zh")])
