"""What must not work: each attempt is made for real, and the reason is the one the service gave."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from marketplace.client.api import ApiClient
from marketplace.client.problem import ProblemError
from seeds.forms import OFFER
from seeds.stages import Scene
from seeds.world import World


def refusals(world: World, scene: Scene, agreement: dict[str, Any], short: dict[str, Any]) -> list[dict[str, Any]]:
    """Every attempt with the reason codes of its refusal; an attempt that succeeds is a failure of the story."""
    pharma, other = world["pharma"], world["ai_company"]
    mine, theirs = agreement["id"], short["id"]
    rows = [
        _attempt("other purpose", lambda: _use(pharma, mine, "marketing", "seed-other-purpose")),
        _attempt("other asset", lambda: _use(pharma, mine, None, "seed-other-asset", asset="ast_of_somebody_else")),
        _attempt("wrong party", lambda: _use(other, mine, None, "seed-wrong-party")),
        _attempt("raw version", lambda: _offer_raw(scene, world.facts["raw"]["id"])),
        _attempt("unknown policy term", lambda: _offer_unknown_term(scene, world.facts["version"]["id"])),
    ]
    rows.append(_while_suspended(world, agreement))
    rows.append(
        _attempt("policy engine failing", lambda: _use(world.undecided("pharma"), mine, None, "seed-no-decision"))
    )
    _use_once(pharma, mine, "seed-second-use-of-pharma")
    rows.append(_attempt("over quota", lambda: _use(pharma, mine, None, "seed-third-use-of-pharma")))
    world.clock.advance_to(datetime.fromisoformat(short["ends_at"]) + timedelta(hours=1))
    rows.append(_attempt("after expiry", lambda: _use(other, theirs, None, "seed-after-expiry")))
    return rows


def resume_if_suspended(world: World, code: str) -> None:
    """A telling that died while the certificate was suspended left it so."""
    if world["auditor"].get(f"/v1/certificates/{code}")["state"] == "suspended":
        world["registrar"].post(f"/v1/certificates/{code}/resumption", {"reason": "inquiry closed (example)"})


def _while_suspended(world: World, agreement: dict[str, Any]) -> dict[str, Any]:
    code = agreement["certificate_code"]
    world["registrar"].post(f"/v1/certificates/{code}/suspension", {"reason": "inquiry (example)"})
    try:
        return _attempt(
            "suspended certificate", lambda: _use(world["pharma"], agreement["id"], None, "seed-while-suspended")
        )
    finally:
        resume_if_suspended(world, code)


def _use(client: ApiClient, agreement: str, purpose: str | None, key: str, asset: str | None = None) -> None:
    """Open a use and read it to its end."""
    asked = {"purpose": purpose or "product_development"} | ({"asset": asset} if asset else {})
    with client.stream(f"/v1/agreements/{agreement}/data", asked, {"Idempotency-Key": key}) as response:
        for _ in response.iter_bytes():
            pass


def _use_once(client: ApiClient, agreement: str, key: str) -> None:
    """Use it, unless an earlier telling did: a key is spent after a day."""
    try:
        _use(client, agreement, None, key)
    except ProblemError as problem:
        if problem.slug != "use-spent":
            raise


def _offer_raw(scene: Scene, raw: str) -> None:
    scene.world["hospital"].post(f"/v1/versions/{raw}/offers", OFFER)


def _offer_unknown_term(scene: Scene, version: str) -> None:
    parameters = OFFER["parameters"] | {"purposes": ["anything_at_all"]}
    scene.world["hospital"].post(f"/v1/versions/{version}/offers", OFFER | {"parameters": parameters})


def _attempt(case: str, act: Callable[[], None]) -> dict[str, Any]:
    try:
        act()
    except ProblemError as problem:
        reasons = problem.body.get("reasons") or [problem.slug]
        return {"case": case, "reason": ", ".join(reasons), "status": problem.status}
    raise AssertionError(f"this had to be refused: {case}")
