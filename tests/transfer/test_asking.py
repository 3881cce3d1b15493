"""What a query says: read plainly it says the same as read in full, or it is not read plainly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from marketplace.transfer.asking import Action, Approval, AssetId, Place, Purpose, plainly, use_of

PLAIN = (
    "purpose=model_training",
    "purpose=model_training&action=train",
    "place=CN&purpose=statistics&action=mkt:deriveModel&asset=ast_1",
    "purpose=a&asset=a.b~c-d/e:f&ethics_approval=IRB-2026/17.b:1",
    f"purpose={'a' * 64}&action={'B' * 64}&asset={'c' * 80}&ethics_approval={'d' * 64}",
)
IN_FULL = (
    "purpose=model%5Ftraining",
    "purpose=statistics&purpose=model_training",
    "purpose=model_training&unknown=1",
    "purpose=model_training&asset=",
    "purpose=model_training&",
    "purpose=model_training&asset=%E8%82%BA",
    "purpose=model_training&ethics_approval=%E4%BC%A6%E7%90%86",
    "purpose=model_training&asset=a+b",
)
REFUSED = (
    "",
    "purpose",
    "purpose=",
    "action=use",
    "purpose=Model",
    "purpose=model_training%0A",
    f"purpose={'a' * 65}",
    "purpose=model_training&action=",
    "purpose=model_training&place=cn",
    "purpose=model_training&place=CHN",
    f"purpose=model_training&asset={'c' * 81}",
    "purpose=model_training&ethics_approval=a=b",
)


@pytest.fixture(scope="module")
def framework() -> Iterator[TestClient]:
    """A route that reads a query by the declared parameters alone."""
    app = FastAPI()

    @app.get("/")
    def read(
        purpose: Purpose,
        action: Action = "use",
        asset: AssetId = None,
        place: Place = None,
        ethics_approval: Approval = None,
    ) -> dict[str, object]:
        return asdict(use_of(purpose, action, asset, place, ethics_approval))

    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("query", PLAIN)
def test_a_plain_query_says_what_the_declared_parameters_say(framework: TestClient, query: str) -> None:
    use = plainly(query)
    assert use is not None
    told = framework.get(f"/?{query}")
    assert (told.status_code, told.json()) == (200, asdict(use) | {"grounds": []})


@pytest.mark.parametrize("query", IN_FULL)
def test_an_escaped_repeated_or_strange_one_is_read_in_full(framework: TestClient, query: str) -> None:
    assert plainly(query) is None
    assert framework.get(f"/?{query}").status_code == 200


@pytest.mark.parametrize("query", REFUSED)
def test_what_is_refused_is_never_read_plainly(framework: TestClient, query: str) -> None:
    assert plainly(query) is None
    assert framework.get(f"/?{query}").status_code == 422
