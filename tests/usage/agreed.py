"""A finalized agreement over a small listed version, written as rows: the rooms below have their own tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from sqlmodel import Session, SQLModel

from marketplace.assets.models import Asset, Version, VersionFile
from marketplace.audit import documents
from marketplace.audit.models import DocumentSignature
from marketplace.exchange.models import Listing, Offer
from marketplace.exchange.templates import template
from marketplace.kernel.canonical import sha256_hex
from marketplace.kernel.clock import timestamp
from marketplace.legal.models import Opinion
from marketplace.legal.rules import LAW_PROFILE
from marketplace.negotiation.models import AccessRequest, Agreement
from marketplace.plumbing import epochs
from marketplace.registration.models import Application, Certificate
from tests.house import House

PROFILE = "https://w3id.org/medical-data-market/profile/v1/"
CERTIFICATE = "SJ3512026090001"
TERM = timedelta(days=365)
TEXT = template("research-use/v1").clauses


def row(db: Session, model: type[SQLModel], **given: Any) -> Any:
    """Add a row; required columns nobody here cares about get a value of their type."""
    now = given.pop("now")
    blank = {str: "-", int: 0, datetime: now, bool: False}
    for name, field in model.model_fields.items():
        if field.is_required() and name not in given:
            kind = field.annotation
            given[name] = blank[kind] if kind in blank else ([] if "list" in str(kind) else {})
    made = model(**given)
    db.add(made)
    db.flush()
    return made


def uses(
    *,
    purposes: tuple[str, ...] = ("model_training", "statistics"),
    count: int | None = 5,
    volume: int | None = None,
    duties: tuple[str, ...] = ("mkt:pseudonymisePerAgreement", "attribute"),
    action: str = "use",
    until: datetime | None = None,
) -> dict[str, Any]:
    """ODRL uses without the parties, which `agree` puts in."""
    constraint: list[Any] = [{"leftOperand": "purpose", "operator": "isAnyOf", "rightOperand": list(purposes)}]
    if count is not None:
        constraint.append({"leftOperand": "count", "operator": "lteq", "rightOperand": count})
    if volume is not None:
        constraint.append({"leftOperand": "mkt:volumeBytes", "operator": "lteq", "rightOperand": str(volume)})
    if until is not None:
        constraint.append({"leftOperand": "dateTime", "operator": "lteq", "rightOperand": timestamp(until)})
    return {
        "@context": ["http://www.w3.org/ns/odrl.jsonld", {"mkt": PROFILE}],
        "@type": "Agreement",
        "profile": PROFILE,
        "permission": [{"action": action, "constraint": constraint, "duty": [{"action": duty} for duty in duties]}],
        "prohibition": [{"action": "mkt:reidentify"}, {"action": "mkt:link"}, {"action": "distribute"}],
    }


@dataclass
class Agreed:
    """Ids of what was agreed."""

    agreement: str
    asset: str
    version: str
    opinion: str
    certificate: str = CERTIFICATE


def dicom(number: int, pixels: int = 64) -> bytes:
    """A small governed CT slice: pseudonymous, but with the version's own pseudonyms."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.StudyInstanceUID = f"1.2.3.1000{number // 2}"
    made.SeriesInstanceUID = f"1.2.3.2000{number // 2}"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.3000{number}"
    made.FrameOfReferenceUID = f"1.2.3.4000{number // 2}"
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, f"1.2.3.3000{number}"
    made.ReferencedImageSequence = [item]
    made.PatientID = made.PatientName = f"GOVERNED{number // 2}"
    made.Modality = "CT"
    made.DeidentificationMethod = "PS3.15 Annex E"
    made.PatientIdentityRemoved = "YES"
    made.Rows, made.Columns, made.BitsAllocated, made.SamplesPerPixel = pixels, pixels, 16, 1
    made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 15, 0
    made.PhotometricInterpretation = "MONOCHROME2"
    made.PixelData = (number.to_bytes(2) * pixels * pixels)[: pixels * pixels * 2]
    out = BytesIO()
    pydicom.dcmwrite(out, made, enforce_file_format=True)
    return out.getvalue()


def agree(
    house: House,
    policy: dict[str, Any] | None = None,
    *,
    files: int = 4,
    price: int = 0,
    contents: list[bytes] | None = None,
) -> Agreed:
    """A listed version of a few slices, its credentials, and an agreement of hospital and pharma over it."""
    contents = contents or [dicom(number) for number in range(files)]
    stored = [house.runtime.store.put([one], limit=1 << 30) for one in contents]
    now = house.clock.now()
    with house.arrange() as db:
        made = Agreed("agr_1", "ast_1", "ver_1", "opn_1")
        _version(db, house, made, now)
        for at, one in enumerate(stored):
            path = f"1.2.3.1000{at // 2}/1.2.3.2000{at // 2}/1.2.3.3000{at}.dcm"
            db.add(
                VersionFile(
                    version_id=made.version,
                    position=at,
                    path=path,
                    sha256=one.sha256,
                    bytes=one.size,
                    study=str(at // 2),
                )
            )
        _credentials(db, house, made, now)
        _listing(db, house, made, now)
        _agreement(db, house, made, policy or uses(), price, now)
    return made


def agree_again(
    house: House, made: Agreed, agreement: str, policy: dict[str, Any] | None = None, *, price: int = 0
) -> Agreed:
    """A further agreement over the same version, between the same two.  agreement: its id, `agr_<something>`."""
    another = replace(made, agreement=agreement)
    with house.arrange() as db:
        _agreement(db, house, another, policy or uses(), price, house.clock.now())
    return another


def _version(db: Session, house: House, made: Agreed, now: datetime) -> None:
    row(db, Asset, now=now, id=made.asset, provider_id=house.cast["hospital"].id, name="胸部CT", name_en="Chest CT")
    row(
        db,
        Version,
        now=now,
        id=made.version,
        asset_id=made.asset,
        number=2,
        kind="governed",
        stage="listed",
        root="ab" * 32,
        sealed_at=now,
        created_at=now,
    )


def _credentials(db: Session, house: House, made: Agreed, now: datetime) -> None:
    firm, registrar = house.cast["law_firm"].id, house.cast["registrar"].id
    common = {"version_id": made.version, "root": "ab" * 32, "now": now}
    row(
        db,
        Opinion,
        id=made.opinion,
        firm_id=firm,
        outcome="PASS",
        state="signed",
        signed_at=now,
        law_profile=LAW_PROFILE,
        expires_at=now + 2 * TERM,
        **common,
    )
    row(
        db,
        Application,
        id="app_1",
        now=now,
        asset_id=made.asset,
        version_id=made.version,
        applicant_id=house.cast["hospital"].id,
        registrar_id=registrar,
        opinion_id=made.opinion,
        state="issued",
    )
    row(
        db,
        Certificate,
        code=made.certificate,
        application_id="app_1",
        asset_id=made.asset,
        registrar_id=registrar,
        state="valid",
        valid_until=now + 3 * TERM,
        **common,
    )


def _listing(db: Session, house: House, made: Agreed, now: datetime) -> None:
    both = {"now": now, "asset_id": made.asset, "version_id": made.version}
    row(db, Offer, id="off_1", provider_id=house.cast["hospital"].id, **both)
    row(db, Listing, id="lst_1", offer_id="off_1", operator_id=house.cast["exchange"].id, state="listed", **both)


def _agreement(db: Session, house: House, made: Agreed, policy: dict[str, Any], price: int, now: datetime) -> None:
    hospital, pharma = house.cast["hospital"], house.cast["pharma"]
    both = {"now": now, "asset_id": made.asset, "version_id": made.version}
    request = made.agreement.replace("agr_", "req_")
    parties = {"provider_id": hospital.id, "buyer_id": pharma.id}
    row(db, AccessRequest, id=request, now=now, listing_id="lst_1", offer_id="off_1", state="finalized", **parties)
    policy = policy | {
        "@id": made.agreement,
        "assigner": hospital.id,
        "assignee": pharma.id,
        "target": made.asset,
        "timestamp": timestamp(now),
        "permission": [{"target": made.asset, **one} for one in policy["permission"]],
    }
    plan = {"kind": "per_use", "price_fen": price}
    document = documents.keep(
        db, "agreement", {"type": "agreement", "uses": policy, "price_plan": plan, "text": TEXT}, now
    )
    for party in (hospital, pharma):
        jws = party.key.sign_detached(documents.get(db, document).body, typ="agreement+jws")
        key = party.key
        db.add(
            DocumentSignature(
                document=document,
                signer=party.id,
                kid=key.kid,
                alg=key.algorithm,
                typ="agreement+jws",
                jws=jws,
                jwk=key.public_jwk,
                signed_at=now,
            )
        )
    row(
        db,
        Agreement,
        id=made.agreement,
        request_id=request,
        listing_id="lst_1",
        certificate_code=made.certificate,
        opinion_id=made.opinion,
        document=document,
        uses=policy,
        price_plan=plan,
        delivery_mode="download",
        state="finalized",
        starts_at=now,
        ends_at=now + TERM,
        finalized_at=now,
        **both,
        **parties,
    )
    for subject in (made.agreement, made.version, made.certificate, made.opinion):
        epochs.open_epoch(db, subject)


def rewrite(house: House, model: type[SQLModel], key: str, **values: Any) -> None:
    """Change columns of a row behind everybody's back."""
    with house.arrange() as db:
        found = db.get(model, key)
        assert found is not None
        for name, value in values.items():
            setattr(found, name, value)
        db.add(found)


def sign_anew(house: House, made: Agreed, policy: dict[str, Any]) -> None:
    """Replace the uses in the agreement's row and in a freshly kept document signed by both."""
    with house.arrange() as db:
        agreement = db.get(Agreement, made.agreement)
        assert agreement is not None
        now = house.clock.now()
        content = {"type": "agreement", "uses": policy, "price_plan": agreement.price_plan, "text": TEXT}
        document = documents.keep(db, "agreement", content, now)
        body = documents.get(db, document).body
        for name in ("hospital", "pharma"):
            party = house.cast[name]
            key = party.key
            if db.get(DocumentSignature, (document, party.id)) is None:
                db.add(
                    DocumentSignature(
                        document=document,
                        signer=party.id,
                        kid=key.kid,
                        alg=key.algorithm,
                        typ="agreement+jws",
                        jws=key.sign_detached(body, typ="agreement+jws"),
                        jwk=key.public_jwk,
                        signed_at=now,
                    )
                )
        agreement.uses, agreement.document = policy, document
        db.add(agreement)


def digest_of(data: bytes) -> str:
    return sha256_hex(data)
