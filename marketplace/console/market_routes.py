"""The pages of what is on offer: catalogue, listing, contract of an example, references."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlmodel import col, select

from marketplace.console import formats, planned, views
from marketplace.console.frame import Lang, message, nothing_here, page, runtime_of
from marketplace.console.reader import Reader
from marketplace.exchange import catalogue
from marketplace.exchange.catalogue import Wanted
from marketplace.exchange.models import MarketReference
from marketplace.kernel.errors import NotFound
from marketplace.negotiation import queries as negotiation
from marketplace.negotiation.models import Agreement

LONGEST = 100
CARDS = 48
"""Listings of a page of the catalogue."""
Quantity = Annotated[str, Query(description="A number of what the plan measures; anything else counts as one.")]

routes = APIRouter()


@routes.get("/")
def show_catalogue(
    request: Request, language: Lang, q: Annotated[str, Query()] = "", cursor: Annotated[str, Query()] = ""
) -> HTMLResponse:
    """What is listed and valid now, with search, page by page."""
    runtime = runtime_of(request)
    with runtime.database.reading() as db:
        reader = Reader(db, runtime.clock.now(), language)
        query = q.strip()[:LONGEST]
        try:
            found = catalogue.visible(db, reader.now, Wanted(text=query), cursor=cursor or None, limit=CARDS)
        except catalogue.BadCursor:
            return nothing_here(request, language)
        cards = [views.card(reader, row) for row in found.rows]
    values: dict[str, Any] = {"query": query, "whole": not cursor and found.next_cursor is None, "first": not cursor}
    return page(request, language, "catalogue.html", cards=cards, next_cursor=found.next_cursor, **values)


@routes.get("/listings/{listing_id}")
def show_listing(request: Request, language: Lang, listing_id: str, quantity: Quantity = "1") -> HTMLResponse:
    """One listing with its passport, terms, the price of a planned use and, for examples, its books."""
    runtime = runtime_of(request)
    with runtime.database.reading() as db:
        reader = Reader(db, runtime.clock.now(), language)
        try:
            row = catalogue.visible_listing(db, listing_id, reader.now)
        except NotFound:
            return nothing_here(request, language)
        asked = int(quantity) if quantity.isdecimal() and len(quantity) <= len(str(planned.MOST)) else 1
        values = views.listing_page(reader, row) | planned.part(reader, row, asked)
    return page(request, language, "listing.html", **values)


@routes.get("/agreements/{agreement_id}")
def show_agreement(request: Request, language: Lang, agreement_id: str) -> HTMLResponse:
    """An agreement in which everything is an example; any other one belongs to its parties."""
    runtime = runtime_of(request)
    with runtime.database.reading() as db:
        agreement = db.get(Agreement, agreement_id)
        if agreement is None or not negotiation.all_invented(db, [agreement_id]):
            return message(request, language, "private", 404)
        values = views.agreement_page(Reader(db, runtime.clock.now(), language), agreement)
    return page(request, language, "agreement.html", **values)


@routes.get("/references")
def show_references(request: Request, language: Lang) -> HTMLResponse:
    """Products that public sources report from elsewhere."""
    with runtime_of(request).database.reading() as db:
        rows = db.exec(select(MarketReference).order_by(col(MarketReference.date), col(MarketReference.id))).all()
    prices = {row.id: formats.money(row.price_fen, language) for row in rows if row.price_fen is not None}
    return page(request, language, "references.html", rows=rows, prices=prices)
