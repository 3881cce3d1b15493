"""Policies over HTTP: the operator replaces them, everybody sees which decide, an OPA server fetches the bundle."""

from __future__ import annotations

from fastapi import Request, Response

from marketplace.kernel.errors import Conflict, NotFound
from marketplace.plumbing import policyreleases
from marketplace.plumbing.bodies import LARGE, takes_body_of
from marketplace.plumbing.problems import problem
from marketplace.plumbing.web import PublicView, Verb, View, router
from marketplace.usage.policies import service
from marketplace.usage.policies.schemas import PoliciesOut, PolicyBundleIn, PolicyReleaseOut

routes = router("policies")
public = router("policies", prefix="/policy")


class BundleRefused(Conflict):
    """This bundle does not decide; the policies before it still do."""


class NoBundle(NotFound):
    """No bundle was accepted: the policies of the release decide."""


@routes.post("/policies", status_code=201, operation_id="accept_policies", response_model=PolicyReleaseOut)
@takes_body_of(LARGE)
def accept_policies(verb: Verb, asked: PolicyBundleIn) -> PolicyReleaseOut | Response:
    """The platform operator replaces the policies by a bundle that the publisher signed; no restart.

    A bundle that is refused answers 409 with its fault, is recorded, and changes nothing.
    """
    match service.accept(verb.db, verb.actor, service.decoded(asked.bundle), verb.now, verb.runtime):
        case service.Refused() as refused:
            error = BundleRefused(f"the bundle is refused: {refused.fault}", action="publish a corrected, newer bundle")
            return problem(error, extra={"fault": str(refused.fault), "entry": refused.entry})
        case accepted:
            return PolicyReleaseOut.model_validate(accepted)


@routes.get("/policies", operation_id="get_policies")
def get_policies(view: View) -> PoliciesOut:
    """Which policies decide now, and every bundle that ever did."""
    settings, found = view.runtime.settings, policyreleases.releases(view.db)
    key = settings.policy_publisher_key
    return PoliciesOut(
        revision=found[0].revision if found else "" if key else view.runtime.policy.revision,
        publisher=policyreleases.publisher(key)["kid"] if key else "",
        releases=[PolicyReleaseOut.model_validate(one) for one in found],
    )


@public.get("/bundle.tar.gz", operation_id="get_policy_bundle", response_class=Response)
def get_policy_bundle(view: PublicView, request: Request) -> Response:
    """The signed bundle that decides now, without login: an OPA server polls it and checks the signature itself."""
    found = next(iter(policyreleases.releases(view.db)), None)
    if found is None:
        raise NoBundle("no bundle was accepted", action="the policies are those of the release")
    headers = {"ETag": f'"{found.bundle}"', "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    content = b"".join(view.runtime.store.read(found.bundle))
    return Response(content, media_type="application/gzip", headers=headers)
