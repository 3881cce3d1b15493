"""Participants, their keys, and access tokens over HTTP."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from marketplace.kernel.signing import ALGORITHMS
from marketplace.participants import connectors, queries, service, tokens
from marketplace.participants.schemas import (
    AuthorizationServerOut,
    ConnectorIn,
    ConnectorOut,
    ConnectorPage,
    KeyIn,
    KeyOut,
    KeySetOut,
    ParticipantIn,
    ParticipantOut,
    ParticipantPage,
    ProtectedResourceOut,
    RevocationIn,
    SuspensionIn,
    TokenOut,
)
from marketplace.participants.tokens import TOKEN_REFUSALS, InvalidTokenRequest, TokenRequest
from marketplace.plumbing.limits import Limits
from marketplace.plumbing.paging import MOST, Cursor, Limit
from marketplace.plumbing.problems import problem
from marketplace.plumbing.web import LoggedVerb, PublicView, Verb, View, router

_register = router("participants")
_open = router("access", prefix="")

MAX_FORM = 16384
_FORM = {
    "grant_type": {"type": "string", "const": tokens.GRANT_TYPE},
    "client_assertion_type": {"type": "string", "const": tokens.ASSERTION_TYPE},
    "client_assertion": {
        "type": "string",
        "description": "JWT signed with the participant's key (RFC 7523); its claim `person` may name who acts.",
    },
    "client_id": {"type": "string", "description": "Optional; the participant id."},
}
_REQUIRED = ["grant_type", "client_assertion_type", "client_assertion"]
_FORM_SCHEMA = {"type": "object", "required": _REQUIRED, "properties": _FORM}


@_register.post("/participants", status_code=201, operation_id="admit_participant")
def admit_participant(verb: Verb, asked: ParticipantIn) -> ParticipantOut:
    """Admit an organisation with verified identity: for the platform operator."""
    return ParticipantOut.model_validate(service.admit(verb.db, verb.actor, asked, verb.now))


@_register.get("/participants", operation_id="list_participants")
def list_participants(view: View, cursor: Cursor = None, limit: Limit = MOST) -> ParticipantPage:
    """A page of all participants, in order of admission."""
    found = queries.admitted(view.db, cursor=cursor, limit=limit)
    return ParticipantPage(items=[ParticipantOut.model_validate(one) for one in found.rows], next=found.next)


@_register.get("/participants/{participant_id}", operation_id="get_participant")
def get_participant(view: View, participant_id: str) -> ParticipantOut:
    """One participant with its verified identity."""
    return ParticipantOut.model_validate(queries.participant(view.db, participant_id))


@_register.post("/participants/{participant_id}/suspension", operation_id="suspend_participant")
def suspend_participant(verb: Verb, participant_id: str, asked: SuspensionIn) -> ParticipantOut:
    """Shut a participant out at once: for the platform operator."""
    found = service.suspend(verb.db, verb.actor, participant_id, asked.reason, verb.now)
    return ParticipantOut.model_validate(found)


@_register.post("/participants/{participant_id}/reinstatement", operation_id="reinstate_participant")
def reinstate_participant(verb: Verb, participant_id: str, asked: SuspensionIn) -> ParticipantOut:
    """End a suspension: for the platform operator."""
    found = service.reinstate(verb.db, verb.actor, participant_id, asked.reason, verb.now)
    return ParticipantOut.model_validate(found)


@_register.post("/participants/{participant_id}/keys", status_code=201, operation_id="register_key")
def register_key(verb: LoggedVerb, participant_id: str, asked: KeyIn) -> KeyOut:
    """Register a public key: for the participant itself, or the platform operator while there is no valid key."""
    key = service.register_key(verb.db, verb.actor, participant_id, asked.jwk, verb.now, until=asked.valid_until)
    return KeyOut.model_validate(key)


@_register.get("/participants/{participant_id}/keys", operation_id="list_keys")
def list_keys(view: View, participant_id: str) -> list[KeyOut]:
    """All keys of a participant, ended ones too: older signatures are checked with them."""
    found = queries.participant(view.db, participant_id)
    return [KeyOut.model_validate(one) for one in queries.keys(view.db, found.id)]


@_register.post("/participants/{participant_id}/keys/{kid}/revocation", operation_id="revoke_key")
def revoke_key(verb: LoggedVerb, participant_id: str, kid: str, asked: RevocationIn) -> KeyOut:
    """End a key at once: for the participant itself or the platform operator."""
    return KeyOut.model_validate(service.revoke_key(verb.db, verb.actor, participant_id, kid, asked.reason, verb.now))


@_register.post("/connectors", status_code=201, operation_id="register_connector")
def register_connector(verb: Verb, asked: ConnectorIn) -> ConnectorOut:
    """Make a component known that speaks the Dataspace Protocol from elsewhere: for the platform operator."""
    return ConnectorOut.model_validate(connectors.register(verb.db, verb.actor, asked, verb.now))


@_register.get("/connectors", operation_id="list_connectors")
def list_connectors(view: View, cursor: Cursor = None, limit: Limit = MOST) -> ConnectorPage:
    """A page of all registered components, in order of registration."""
    found = connectors.all_connectors(view.db, cursor=cursor, limit=limit)
    return ConnectorPage(items=[ConnectorOut.model_validate(one) for one in found.rows], next=found.next)


@_register.post("/connectors/{connector_id}/suspension", operation_id="suspend_connector")
def suspend_connector(verb: Verb, connector_id: str, asked: SuspensionIn) -> ConnectorOut:
    """Refuse a component from now on: for the platform operator."""
    found = connectors.suspend(verb.db, verb.actor, connector_id, asked.reason, verb.now)
    return ConnectorOut.model_validate(found)


@_register.post("/connectors/{connector_id}/reinstatement", operation_id="reinstate_connector")
def reinstate_connector(verb: Verb, connector_id: str, asked: SuspensionIn) -> ConnectorOut:
    """End a suspension: for the platform operator."""
    found = connectors.reinstate(verb.db, verb.actor, connector_id, asked.reason, verb.now)
    return ConnectorOut.model_validate(found)


async def token_body(request: Request) -> bytes:
    """The raw form; it is read strictly by us, because the framework takes the last of two equal parameters."""
    return await request.body()


def _token_request(request: Request, body: bytes) -> TokenRequest:
    media_type = request.headers.get("content-type", "nothing").split(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise InvalidTokenRequest(
            "the token request is not a form", expected="application/x-www-form-urlencoded", got=media_type[:80]
        )
    fields = _fields(body)
    missing = [name for name in _REQUIRED if name not in fields]
    if missing:
        raise InvalidTokenRequest("parameters are missing", expected=", ".join(missing))
    return TokenRequest(
        grant_type=fields["grant_type"],
        client_assertion_type=fields["client_assertion_type"],
        client_assertion=fields["client_assertion"],
        client_id=fields.get("client_id"),
        proofs=request.headers.getlist("dpop"),
    )


def _fields(body: bytes) -> dict[str, str]:
    """The parameters, each at most once (RFC 6749 section 3.2)."""
    if len(body) > MAX_FORM:
        raise InvalidTokenRequest("the form is too long", expected=f"at most {MAX_FORM} bytes", got=str(len(body)))
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=16)
    except ValueError as error:
        raise InvalidTokenRequest(f"the form is not readable: {error}") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidTokenRequest("a parameter comes twice")
    return fields


@_open.post(
    tokens.TOKEN_PATH,
    operation_id="issue_token",
    response_model=TokenOut,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": _FORM_SCHEMA}}}
    },
)
def issue_token(view: PublicView, request: Request, body: Annotated[bytes, Depends(token_body)]) -> Response:
    """Give an access token for a signed client assertion (RFC 7523), bound to a key if a DPoP proof comes with it."""
    try:
        known = Limits.of(request).client
        issued = tokens.issue(view.db, _token_request(request, body), view.now, view.runtime, known=known)
    except TOKEN_REFUSALS as error:
        view.runtime.refusals.add(error.slug, view.now)
        view.db.rollback()  # a returned answer would commit: a refused request leaves nothing behind
        return problem(error, extra={"error": error.code})
    answer = {name: value for name, value in vars(issued).items() if value is not None}
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


@_open.get("/.well-known/oauth-authorization-server", operation_id="get_authorization_server")
def get_authorization_server(view: PublicView) -> AuthorizationServerOut:
    """Where and how a client gets a token (RFC 8414)."""
    base = view.runtime.settings.public_url
    return AuthorizationServerOut(
        issuer=base,
        token_endpoint=tokens.token_endpoint(view.runtime.settings),
        jwks_uri=_well_known(base, "jwks.json"),
        grant_types_supported=[tokens.GRANT_TYPE],
        response_types_supported=[],
        token_endpoint_auth_methods_supported=["private_key_jwt"],
        token_endpoint_auth_signing_alg_values_supported=list(ALGORITHMS),
        dpop_signing_alg_values_supported=list(ALGORITHMS),
        service_documentation=f"{base.rstrip('/')}/docs",
    )


@_open.get("/.well-known/oauth-protected-resource", operation_id="get_protected_resource")
def get_protected_resource(view: PublicView) -> ProtectedResourceOut:
    """Which tokens this API takes (RFC 9728)."""
    base = view.runtime.settings.public_url
    return ProtectedResourceOut(
        resource=base,
        authorization_servers=[base],
        jwks_uri=_well_known(base, "jwks.json"),
        bearer_methods_supported=["header"],
        dpop_signing_alg_values_supported=list(ALGORITHMS),
        dpop_bound_access_tokens_required=False,
    )


@_open.get("/.well-known/jwks.json", operation_id="get_service_keys")
def get_service_keys(view: PublicView) -> KeySetOut:
    """The service's own public key: delivery manifests, notices and receipts are checked with it."""
    key: dict[str, Any] = view.runtime.service_key.public_jwk
    return KeySetOut(keys=[key | {"use": "sig"}])


def _well_known(base: str, name: str) -> str:
    return f"{base.rstrip('/')}/.well-known/{name}"


routes = APIRouter()
routes.include_router(_register)
routes.include_router(_open)
