"""Assets over HTTP."""

from __future__ import annotations

from fastapi import Response

from marketplace.assets import queries, service
from marketplace.assets.schemas import AssetOut, AssetRegistration, StageRecordOut, VersionOut
from marketplace.audit import documents
from marketplace.plumbing.web import Verb, View, router

routes = router("assets")


@routes.post("/assets", status_code=201, operation_id="register_asset")
def register_asset(verb: Verb, asked: AssetRegistration) -> AssetOut:
    """Open an asset for the calling provider."""
    return AssetOut.model_validate(service.register(verb.db, verb.actor, asked, verb.now))


@routes.get("/assets", operation_id="list_assets")
def list_assets(view: View) -> list[AssetOut]:
    """The caller's assets; for law firms, registrars, exchange operators and auditors all of them."""
    return [AssetOut.model_validate(one) for one in queries.visible_assets(view.db, view.actor)]


@routes.get("/assets/{asset_id}", operation_id="get_asset")
def get_asset(view: View, asset_id: str) -> AssetOut:
    """One asset that the caller may see."""
    visible = {one.id: one for one in queries.visible_assets(view.db, view.actor)}
    if asset_id not in visible:
        raise queries.NoSuchAsset("no asset with this id", got=asset_id)
    return AssetOut.model_validate(visible[asset_id])


@routes.get("/assets/{asset_id}/versions", operation_id="list_versions")
def list_versions(view: View, asset_id: str) -> list[VersionOut]:
    """All versions of an asset by number."""
    get_asset(view, asset_id)
    return [VersionOut.model_validate(one) for one in queries.versions(view.db, asset_id)]


@routes.get("/versions/{version_id}", operation_id="get_version")
def get_version(view: View, version_id: str) -> VersionOut:
    """One version."""
    found = queries.version(view.db, version_id)
    get_asset(view, found.asset_id)
    return VersionOut.model_validate(found)


@routes.get("/versions/{version_id}/passport", operation_id="get_passport")
def get_passport(view: View, version_id: str) -> list[StageRecordOut]:
    """The signed stage records of a version, in stage order; a governed version shows its parent's collection."""
    get_version(view, version_id)
    return [StageRecordOut.model_validate(one) for one in queries.stage_records(view.db, version_id)]


@routes.get("/documents/{sha256}", operation_id="get_document", response_class=Response)
def get_document(view: View, sha256: str) -> Response:
    """The exact canonical bytes of a document: what is signed, and what anyone can check."""
    found = documents.get_for(view.db, view.actor, sha256)
    return Response(found.body, media_type="application/json", headers={"X-Document-Kind": found.kind})
