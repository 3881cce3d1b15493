"""The pages.  Anyone may read them; what belongs to parties is shown only where it is an invented example.

A desk's page shows a party more that says who it is, as the API does.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException

from marketplace.console import evidence_routes, market_routes
from marketplace.console.desks import routes as desks
from marketplace.console.frame import CLOSED, COMMON, STATIC, Lang, language_of, nothing_here, page
from marketplace.plumbing import problems
from marketplace.plumbing.limits import count_unknown

FILES = {"style.css": "text/css", "icon.svg": "image/svg+xml", "docs.js": "text/javascript"}
# The page of the API alone runs a script: Swagger UI, served from here; it styles its elements itself.
DOCS_POLICY = CLOSED + (
    "script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; font-src 'self'"
)
# Addresses of machines: they get problem documents whatever they say they accept.
MACHINE_PATHS = ("/v1/", "/log/", "/oauth/", "/.well-known/", "/openapi.json")

routes = APIRouter(include_in_schema=False)
ANYONE = [Depends(count_unknown)]
for _public in (market_routes.routes, evidence_routes.routes):
    routes.include_router(_public, dependencies=ANYONE)
routes.include_router(desks.routes)


@routes.get("/docs", dependencies=ANYONE)
def show_api(request: Request, language: Lang) -> HTMLResponse:
    """The API as a page to read and try; everything it loads is served from here."""
    answer = page(request, language, "docs.html")
    answer.headers["Content-Security-Policy"] = DOCS_POLICY
    return answer


@routes.get("/static/{name}", dependencies=ANYONE)
def serve_static(name: str) -> Response:
    """The style sheet, the icon, and the few lines that start the page of the API."""
    if name not in FILES:
        raise HTTPException(404)
    headers = COMMON | {"Cache-Control": "public, max-age=3600"}
    return FileResponse(STATIC / name, media_type=FILES[name], headers=headers)


def install(app: FastAPI) -> None:
    """Answer an unknown address with a page when a browser asks; machines keep their problem documents."""

    @app.exception_handler(404)
    async def _unknown(request: Request, error: HTTPException) -> Response:
        machine = request.url.path.startswith(MACHINE_PATHS)
        if machine or "text/html" not in request.headers.get("accept", ""):
            return problems.http_problem(error)
        return nothing_here(request, language_of(request))
