"""The face declaration: the provider's signed word that head CT and MR of a raw version show no recognisable face."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from marketplace.assets import queries as assets
from marketplace.assets.schemas import SignatureIn
from marketplace.audit import documents
from marketplace.audit.entry import Tag, record
from marketplace.governance import queries
from marketplace.governance.models import FaceDeclaration
from marketplace.governance.rules import require_governable
from marketplace.kernel.actor import Actor
from marketplace.kernel.canonical import Json
from marketplace.participants import signatures

KIND = "face-declaration"


class Basis(StrEnum):
    """Why no face can be recognised."""

    DEFACED = "defaced_before_collection"
    FACE_NOT_IN_VIEW = "face_not_in_field_of_view"
    TOO_COARSE = "resolution_too_coarse_for_a_face"


STATEMENTS: dict[Basis, dict[str, str]] = {
    Basis.DEFACED: {
        "zh": "本版本中的头部CT和MR影像在采集前均已去除面部特征，无法重建可识别的人脸。",
        "en": "Facial features were removed from all head CT and MR images of this version before collection.",
    },
    Basis.FACE_NOT_IN_VIEW: {
        "zh": "本版本中的CT和MR影像不包含可重建人脸的扫描范围。",
        "en": "No CT or MR image of this version covers a region from which a face could be reconstructed.",
    },
    Basis.TOO_COARSE: {
        "zh": "本版本中的头部CT和MR影像分辨率不足以重建可识别的人脸。",
        "en": "The head CT and MR images of this version are too coarse to reconstruct a recognisable face.",
    },
}


def prepare(db: Session, actor: Actor, version_id: str, basis: Basis, now: datetime) -> FaceDeclaration:
    """Prepare the declaration of one of the caller's raw versions for signature.

    Raises NoSuchVersion, NotGovernable.  Records: governance:face_declared, when new.
    """
    version = assets.own_version(db, actor, version_id)
    require_governable(version)

    document: Json = {
        "v": 1,
        "type": KIND,
        "asset": version.asset_id,
        "version": version.id,
        "version_root": version.root,
        "basis": basis.value,
        "statement": STATEMENTS[basis],
        "signer": actor.participant,
    }
    name = documents.keep(db, KIND, document, now)
    found = db.get(FaceDeclaration, name)
    if found is None:
        found = FaceDeclaration(document=name, version_id=version.id, basis=basis, prepared_at=now)
        db.add(found)
        db.flush()
        facts = {"document": name, "basis": basis.value, "signed": False}
        record(db, actor, Tag.FACE_DECLARED, now, asset=version.asset_id, version=version.id, facts=facts)
    return found


def sign(db: Session, actor: Actor, version_id: str, asked: SignatureIn, now: datetime) -> FaceDeclaration:
    """Accept the provider's signature; jobs asked for from now on let head CT and MR through.

    Raises NoSuchVersion, NoSuchDeclaration, NotGovernable, BadSignature, UnknownKey.
    Records: governance:face_declared.
    """
    version = assets.own_version(db, actor, version_id)
    declaration = queries.declaration(db, version.id, asked.document)
    require_governable(version)

    signatures.accept(db, actor.participant, asked.document, asked.jws, typ=f"{KIND}+jws", now=now)
    declaration.signed_at = declaration.signed_at or now
    db.add(declaration)

    facts = {"document": declaration.document, "basis": declaration.basis, "signed": True}
    record(db, actor, Tag.FACE_DECLARED, now, asset=version.asset_id, version=version.id, facts=facts)
    return declaration
