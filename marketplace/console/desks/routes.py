"""The desks over HTTP: read with the same credentials as the API, and without any where all is invented."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse

from marketplace.audit import documents
from marketplace.console import frame
from marketplace.console.desks import (
    asset,
    demand,
    director,
    gate,
    invoice,
    links,
    payables,
    postings,
    purchases,
    sales,
    shares,
    tariffs,
)
from marketplace.console.desks.asset import Asked
from marketplace.console.desks.sections import Page
from marketplace.console.frame import Lang, language_of
from marketplace.console.reader import Reader
from marketplace.console.words import Language
from marketplace.kernel.errors import Forbidden, Invalid, NotFound
from marketplace.planning import queries as planning
from marketplace.plumbing.web import Call, OpenView, TransactionRoute
from marketplace.settlement.document import invoice_pdf


class PageRoute(TransactionRoute):
    """A reading route that answers a browser with a page also where it refuses."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            if "text/html" not in request.headers.get("accept", ""):
                return await handle(request)  # a program, which gets its problem document
            try:
                return await handle(request)
            except NotFound:
                return frame.nothing_here(request, language_of(request))
            except Forbidden:
                return frame.message(request, language_of(request), "not_yours", 403)
            except (Invalid, RequestValidationError):
                return frame.message(request, language_of(request), "numbers_wrong", 422, "numbers_wrong_why")

        return answer


Position = Annotated[int, Query(ge=0, le=10**9, description="The line of an invoice behind which the page begins.")]

Cursor = Annotated[str | None, Query(max_length=400, description="Where the page begins, as the one before says.")]

routes = APIRouter(route_class=PageRoute)


@routes.get("/participants")
def show_desks(view: OpenView, request: Request, language: Lang) -> HTMLResponse:
    """Every desk that the reader may see."""
    return _answer(request, language, links.desks_page(_reader(view, language), gate.open_desks(view.db, view.actor)))


@routes.get("/participants/{participant_id}/director")
def show_director(view: OpenView, request: Request, language: Lang, participant_id: str) -> HTMLResponse:
    """What every asset of a provider cost and earned, the risk, and what a stop would cost."""
    desk = gate.open_desk(view.db, view.actor, participant_id, "director")
    return _answer(request, language, director.page(_reader(view, language), desk))


@routes.get("/participants/{participant_id}/assets/{asset_id}")
def show_asset(
    view: OpenView,
    request: Request,
    language: Lang,
    participant_id: str,
    asset_id: str,
    asked: Annotated[Asked, Query()],
) -> HTMLResponse:
    """One asset's cost sheet, its place in the balance sheet, and what it may bring."""
    desk = gate.open_desk(view.db, view.actor, participant_id, "director")
    return _answer(request, language, asset.page(_reader(view, language), desk, asset_id, asked))


@routes.get("/participants/{participant_id}/assets/{asset_id}/postings")
def show_postings(
    view: OpenView, request: Request, language: Lang, participant_id: str, asset_id: str, cursor: Cursor = None
) -> HTMLResponse:
    """Every posting behind an asset's cost and income, the latest first, page by page."""
    desk = gate.open_desk(view.db, view.actor, participant_id, "director")
    return _answer(request, language, postings.page(_reader(view, language), desk, asset_id, cursor))


@routes.get("/participants/{participant_id}/purchases")
def show_purchases(
    view: OpenView,
    request: Request,
    language: Lang,
    participant_id: str,
    agreements: Cursor = None,
    invoices: Cursor = None,
    negotiations: Cursor = None,
) -> HTMLResponse:
    """A buyer's contracts with counters and caps, invoices and negotiations, page by page, and its charges to come."""
    desk = gate.open_desk(view.db, view.actor, participant_id, "purchases")
    asked = {"agreements": agreements, "invoices": invoices, "negotiations": negotiations}
    return _answer(request, language, purchases.page(_reader(view, language), desk, asked))


@routes.get("/participants/{participant_id}/sales")
def show_sales(
    view: OpenView,
    request: Request,
    language: Lang,
    participant_id: str,
    invoices: Cursor = None,
    negotiations: Cursor = None,
) -> HTMLResponse:
    """What was billed, open and overdue, how it is divided, the closed months; invoices and negotiations by pages."""
    desk = gate.open_desk(view.db, view.actor, participant_id, "sales")
    asked = {"invoices": invoices, "negotiations": negotiations}
    return _answer(request, language, sales.page(_reader(view, language), desk, asked))


@routes.get("/participants/{participant_id}/shares")
def show_shares(
    view: OpenView, request: Request, language: Lang, participant_id: str, cursor: Cursor = None
) -> HTMLResponse:
    """What each contributor gets, the largest first, page by page."""
    desk = gate.open_desk(view.db, view.actor, participant_id, "shares")
    return _answer(request, language, shares.page(_reader(view, language), desk, cursor))


@routes.get("/participants/{participant_id}/payables")
def show_payables(
    view: OpenView,
    request: Request,
    language: Lang,
    participant_id: str,
    cursor: Cursor = None,
    orders: Cursor = None,
) -> HTMLResponse:
    """What is owed for stages, how far it is paid and what is to be done next, page by page."""
    desk = gate.open_desk(view.db, view.actor, participant_id, "payables")
    asked = {"cursor": cursor, "orders": orders}
    return _answer(request, language, payables.page(_reader(view, language), desk, asked))


@routes.get("/invoices/{invoice_id}")
def show_invoice(
    view: OpenView, request: Request, language: Lang, invoice_id: str, after: Position = 0
) -> HTMLResponse:
    """One invoice, every line with the entries that prove it, page by page."""
    found = gate.open_invoice(view.db, view.actor, invoice_id)
    return _answer(request, language, invoice.page(_reader(view, language), found, after))


@routes.get("/invoices/{invoice_id}/invoice.pdf")
def download_invoice(view: OpenView, invoice_id: str) -> Response:
    """The invoice as PDF, the same bytes as the API gives."""
    found = gate.open_invoice(view.db, view.actor, invoice_id)
    pdf = invoice_pdf(documents.content(view.db, found.document), found.document)
    named = {"Content-Disposition": f'attachment; filename="{found.number}.pdf"', "Cache-Control": "no-store"}
    return Response(pdf, media_type="application/pdf", headers=frame.COMMON | named)


@routes.get("/demand")
def show_demand(view: OpenView, request: Request, language: Lang, cursor: Cursor = None) -> HTMLResponse:
    """What buyers look for and what is listed, by scenario, and the demands page by page."""
    gate.require_open_demands(view.db, view.actor)
    return _answer(request, language, demand.board_page(_reader(view, language), cursor))


@routes.get("/demand/{demand_id}")
def show_matches(
    view: OpenView, request: Request, language: Lang, demand_id: str, cursor: Cursor = None
) -> HTMLResponse:
    """The catalogue judged by one demand, page by page."""
    gate.require_open_demands(view.db, view.actor)
    asked = planning.demand(view.db, demand_id)
    return _answer(request, language, demand.matches_page(_reader(view, language), asked, cursor))


@routes.get("/tariffs")
def show_tariffs(view: OpenView, request: Request, language: Lang) -> HTMLResponse:
    """The tariffs in force."""
    return _answer(request, language, tariffs.page(_reader(view, language)))


def _reader(view: Call, language: Language) -> Reader:
    return Reader(view.db, view.now, language)


def _answer(request: Request, language: Language, page: Page) -> HTMLResponse:
    """A desk's page; no cache keeps it, for it may be one party's own."""
    answer = frame.page(request, language, "desk.html", page=page)
    answer.headers["Cache-Control"] = "no-store"
    return answer
