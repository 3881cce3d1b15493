"""Governance over HTTP."""

from __future__ import annotations

from sqlmodel import Session

from marketplace.assets.schemas import PreparedDocument, SignatureIn, StageRecordOut
from marketplace.governance import declaration, queries, service
from marketplace.governance.models import FaceDeclaration, GovernanceJob
from marketplace.governance.schemas import (
    FaceDeclarationIn,
    FaceDeclarationOut,
    GovernanceJobOut,
    HeldBackFile,
    HeldBackPage,
)
from marketplace.plumbing.paging import MOST, Cursor, Limit
from marketplace.plumbing.web import Verb, View, router

routes = router("governance")


@routes.post("/versions/{version_id}/face-declaration", status_code=201, operation_id="prepare_face_declaration")
def prepare_face_declaration(verb: Verb, version_id: str, asked: FaceDeclarationIn) -> FaceDeclarationOut:
    """Prepare the declaration that lets head CT and MR of a raw version be governed."""
    return _declaration_out(declaration.prepare(verb.db, verb.actor, version_id, asked.basis, verb.now))


@routes.post("/versions/{version_id}/face-declaration/signature", operation_id="sign_face_declaration")
def sign_face_declaration(verb: Verb, version_id: str, asked: SignatureIn) -> FaceDeclarationOut:
    """Sign a prepared face declaration."""
    return _declaration_out(declaration.sign(verb.db, verb.actor, version_id, asked, verb.now))


@routes.post("/versions/{version_id}/governance", status_code=202, operation_id="start_governance")
def start_governance(verb: Verb, version_id: str) -> GovernanceJobOut:
    """Govern a raw version in the background; follow the job for its progress."""
    return _job_out(verb.db, service.ask(verb.db, verb.actor, version_id, verb.now))


@routes.get("/governance-jobs/{job_id}", operation_id="get_governance_job")
def get_governance_job(view: View, job_id: str) -> GovernanceJobOut:
    """A job's progress, and the prepared record once it is finished."""
    return _job_out(view.db, queries.own_job(view.db, view.actor, job_id))


@routes.get("/governance-jobs/{job_id}/held-back", operation_id="list_held_back_files")
def list_held_back_files(view: View, job_id: str, cursor: Cursor = None, limit: Limit = MOST) -> HeldBackPage:
    """A page of the files that were not governed, each with its reason."""
    job = queries.own_job(view.db, view.actor, job_id)
    found = queries.held_back(view.db, job.id, cursor=cursor, limit=limit)
    return HeldBackPage(items=[HeldBackFile.model_validate(row) for row in found.rows], next=found.next)


@routes.post("/versions/{version_id}/governance/signature", operation_id="sign_governance_record")
def sign_governance_record(verb: Verb, version_id: str, asked: SignatureIn) -> StageRecordOut:
    """Sign the governance record of a governed version, which takes it to `governed`."""
    return StageRecordOut.model_validate(service.sign(verb.db, verb.actor, version_id, asked, verb.now))


def _declaration_out(found: FaceDeclaration) -> FaceDeclarationOut:
    return FaceDeclarationOut(
        version_id=found.version_id,
        basis=declaration.Basis(found.basis),
        prepared=_prepared(declaration.KIND, found.document),
        signed_at=found.signed_at,
    )


def _job_out(db: Session, job: GovernanceJob) -> GovernanceJobOut:
    progress = queries.progress(db, job.id)
    prepared = _prepared(service.RECORD_KIND, job.document) if job.document else None
    own = job.model_dump(include=set(GovernanceJobOut.model_fields) - {"done", "held_back", "prepared"})
    return GovernanceJobOut(**own, done=progress.done, held_back=progress.held_back, prepared=prepared)


def _prepared(kind: str, sha256: str) -> PreparedDocument:
    return PreparedDocument(kind=kind, sha256=sha256, sign_as=f"{kind}+jws")
