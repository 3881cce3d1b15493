"""Assets over HTTP."""

from __future__ import annotations

from fastapi import Response

from marketplace.assets import queries, service
from marketplace.assets.schemas import AssetOut, AssetPage, AssetRegistration, StageRecordOut, VersionOut, WhyStopped
from marketplace.audit import documents
from marketplace.plumbing.paging import MOST, Cursor, Limit
from marketplace.plumbing.web import Verb, View, router

routes = router("assets")


@routes.post("/assets", status_code=201, operation_id="register_asset")
def register_asset(verb: Verb, asked: AssetRegistration) -> AssetOut:
    """Open an asset for the calling provider."""
    return AssetOut.model_validate(service.register(verb.db, verb.actor, asked, verb.now))


@routes.get("/assets", operation_id="list_assets")
def list_assets(view: View, cursor: Cursor = None, limit: Limit = MOST) -> AssetPage:
    """A page of the caller's assets, the first registered first; for law firms, registrars, exchange operators and
    auditors of all."""
    found = queries.visible_assets(view.db, view.actor, cursor=cursor, limit=limit)
    return AssetPage(items=[AssetOut.model_validate(one) for one in found.rows], next=found.next)


@routes.get("/assets/{asset_id}", operation_id="get_asset")
def get_asset(view: View, asset_id: str) -> AssetOut:
    """One asset that the caller may see."""
    return AssetOut.model_validate(queries.visible_asset(view.db, view.actor, asset_id))


@routes.get("/assets/{asset_id}/versions", operation_id="list_versions")
def list_versions(view: View, asset_id: str) -> list[VersionOut]:
    """All versions of an asset by number."""
    get_asset(view, asset_id)
    return [VersionOut.model_validate(one) for one in queries.versions(view.db, asset_id)]


@routes.get("/versions/{version_id}", operation_id="get_version")
def get_version(view: View, version_id: str) -> VersionOut:
    """One version."""
    return VersionOut.model_validate(queries.visible_version(view.db, view.actor, version_id))


@routes.post("/versions/{version_id}/suspension", operation_id="suspend_version")
def suspend_version(verb: Verb, version_id: str, why: WhyStopped) -> VersionOut:
    """The provider stops every use of an own version at once, until it resumes it."""
    version = queries.own_version(verb.db, verb.actor, version_id)
    return VersionOut.model_validate(service.suspend(verb.db, verb.actor, version, why.reason, verb.now))


@routes.post("/versions/{version_id}/resumption", operation_id="resume_version")
def resume_version(verb: Verb, version_id: str, why: WhyStopped) -> VersionOut:
    """The provider returns a version that it suspended to the stage it had."""
    version = queries.own_version(verb.db, verb.actor, version_id)
    return VersionOut.model_validate(service.resume(verb.db, verb.actor, version, why.reason, verb.now))


@routes.post("/versions/{version_id}/retirement", operation_id="retire_version")
def retire_version(verb: Verb, version_id: str, why: WhyStopped) -> VersionOut:
    """The provider ends an own version for good; every use of it stops at once."""
    version = queries.own_version(verb.db, verb.actor, version_id)
    return VersionOut.model_validate(service.retire(verb.db, verb.actor, version, why.reason, verb.now))


@routes.get("/versions/{version_id}/passport", operation_id="get_passport")
def get_passport(view: View, version_id: str) -> list[StageRecordOut]:
    """The signed stage records of a version, in stage order; a governed version shows its parent's collection."""
    queries.visible_version(view.db, view.actor, version_id)
    return [StageRecordOut.model_validate(one) for one in queries.stage_records(view.db, version_id)]


@routes.get("/documents/{sha256}", operation_id="get_document", response_class=Response)
def get_document(view: View, sha256: str) -> Response:
    """The exact canonical bytes of a document: what is signed, and what anyone can check."""
    found = documents.get_for(view.db, view.actor, sha256)
    return Response(found.body, media_type="application/json", headers={"X-Document-Kind": found.kind})
