"""Every address is public on purpose or closed to callers without a token: a new route without a row fails."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from marketplace.console.desks.routes import routes as desk_routes
from marketplace.main import ROUTERS, create_app
from marketplace.openapi import PUBLIC
from tests.house import House

PAGES = {
    ("GET", "/"),
    ("GET", "/listings/{listing_id}"),
    ("GET", "/agreements/{agreement_id}"),
    ("GET", "/entries"),
    ("GET", "/entries/{entry_id}"),
    ("GET", "/references"),
    ("GET", "/verify"),
    ("POST", "/verify"),
    ("GET", "/docs"),
    ("GET", "/static/{name}"),
    ("GET", "/openapi.json"),
    # A desk answers who it does not know as if it were not there: `test_page_authorization`.
    *(("GET", getattr(one, "path", "")) for one in desk_routes.routes),
}
# What a browser may load for `/docs`, and the Dataspace Protocol, whose doors `tests/dataspace` knocks at.
MOUNTS = {"/static-offline-docs", "/dsp"}
FILLED = {
    "sha256": "0" * 64,
    "batch": "b1",
    "level": "0",
    "path": "000",
    "code": "SJ9912026100001",
}


def doors(routes: Iterable[Any]) -> Iterator[tuple[str, str, str]]:
    """Every (method, path, operation id) behind an application, included routers too."""
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from doors(route.effective_candidates())
        elif getattr(route, "methods", None):
            for method in sorted(route.methods - {"HEAD"} or route.methods):
                yield method, route.path, getattr(route, "operation_id", None) or route.name
        else:
            assert route.path in MOUNTS, route


@pytest.fixture
def app(house: House) -> FastAPI:
    return create_app(house.runtime)


def test_every_door_that_is_not_public_on_purpose_answers_401_without_a_token(app: FastAPI) -> None:
    found = list(doors(app.routes))
    assert len(found) > 100
    closed = [(method, path) for method, path, name in found if name not in PUBLIC and (method, path) not in PAGES]
    assert len(closed) > 80
    with TestClient(app) as http:
        for method, path in closed:
            address = re.sub(r"\{(\w+)(?::\w+)?\}", lambda hit: FILLED.get(hit.group(1), "x1"), path)
            answer = http.request(
                method, address, params={"purpose": "statistics"}, json={} if method == "POST" else None
            )
            assert answer.status_code == 401, (method, path, answer.status_code, answer.text[:200])
            if method != "HEAD":
                assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"]


def test_what_is_public_answers_without_a_token(app: FastAPI) -> None:
    found = [
        (method, path, name) for method, path, name in doors(app.routes) if name in PUBLIC or (method, path) in PAGES
    ]
    assert {name for _, _, name in found} >= PUBLIC
    assert {(method, path) for method, path, _ in found} >= PAGES
    with TestClient(app) as http:
        for method, path, _ in found:
            address = re.sub(r"\{(\w+)(?::\w+)?\}", lambda hit: FILLED.get(hit.group(1), "x1"), path)
            answer = http.request(method, address, params={"sha256": "0" * 64})
            assert answer.status_code != 401 or path == "/oauth/token", path
            assert answer.status_code < 500 or answer.status_code == 503, (path, answer.text[:300])


def test_no_two_doors_have_the_same_address(app: FastAPI) -> None:
    found = [(method, path) for method, path, _ in doors(app.routes)]
    assert len(found) == len(set(found))


def test_a_wrong_token_opens_nothing(app: FastAPI) -> None:
    with TestClient(app) as http:
        for header in ("Bearer x", "DPoP x", "Basic eDp5", "Bearer eyJhbGciOiJub25lIn0.e30.", ""):
            for address in ("/v1/assets", "/participants", "/demand"):
                answer = http.get(address, headers={"authorization": header, "accept": "text/html"})
                assert answer.status_code == 401, (address, header)


def test_every_route_stands_in_the_application_itself(app: FastAPI) -> None:
    """An included router would be searched twice for each request, and derived anew for each application."""
    assert [route for routes in ROUTERS for route in routes.routes if route not in app.router.routes] == []
