"""Nobody sets what no form offers (T33): every input model refuses members that it does not name, at every depth."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute, APIRouter
from pydantic import BaseModel

from marketplace.main import ROUTERS
from tests.architecture.test_authorization import OPERATIONS
from tests.hostile.forms import FORMS
from tests.hostile.knocking import knock
from tests.hostile.story import Story, open_story

TEMPTING = ("id", "state", "stage", "provider_id", "roles", "is_admin", "price_fen", "signed_at", "__class__", "extra")
# Deliberately open: what is inside is judged by a schema of its own (a template's parameters, a key).
OPEN = {"parameters", "jwk"}
NOT_JSON = {"put_files", "issue_token"}


def routes(router: APIRouter) -> Iterator[APIRoute]:
    for one in router.routes:
        if isinstance(one, APIRoute):
            yield one
        elif (inner := getattr(one, "original_router", None)) is not None:
            yield from routes(inner)


def models(kind: Any) -> Iterator[type[BaseModel]]:
    """Every model within a type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models(field.annotation)
    for part in getattr(kind, "__args__", ()):
        yield from models(part)


def inputs() -> set[type[BaseModel]]:
    found: set[type[BaseModel]] = set()
    for router in ROUTERS:
        for route in routes(router):
            if route.body_field is not None:
                found.update(models(route.body_field.field_info.annotation))
    return found


def test_every_input_model_forbids_what_it_does_not_name() -> None:
    found = inputs()
    assert len(found) > 25
    assert sorted(one.__name__ for one in found if one.model_config.get("extra") != "forbid") == []


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder: Path = tmp_path_factory.mktemp("extra")
    with open_story(folder / "house") as opened:
        yield opened


def places(form: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where an object stands in a form."""
    if isinstance(form, dict):
        yield path
        for name, value in form.items():
            if name not in OPEN:
                yield from places(value, (*path, name))
    if isinstance(form, list):
        for at, value in enumerate(form[:1]):
            yield from places(value, (*path, at))


def with_member(form: Any, path: tuple[Any, ...], name: str) -> Any:
    changed = copy.deepcopy(form)
    target = changed
    for part in path:
        target = target[part]
    if name in target:
        name += "_"
    target[name] = "prt_evil"
    return changed


# An offer of another connector is repeated as it came; its profile may know members that ours does not.
WORDS_OF_OTHERS = {"ask_for_contract": ("offer",)}


@pytest.mark.parametrize("name", sorted(set(FORMS) & set(OPERATIONS) - NOT_JSON))
def test_a_form_with_one_member_more_is_refused(story: Story, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    form = FORMS[name](story, "owner")
    for path in places(form):
        if path[:1] == WORDS_OF_OTHERS.get(name):
            continue
        for tempting in TEMPTING if not path else TEMPTING[:2]:
            more = with_member(form, path, tempting)
            monkeypatch.setitem(FORMS, name, lambda _story, _identity, more=more: more)
            answer = knock(story, "owner", OPERATIONS[name])
            assert answer.status_code == 422, (path, tempting, answer.text[:300])
            pointers = [one["pointer"] for one in answer.json()["errors"]]
            assert any(tempting in pointer for pointer in pointers), pointers
