"""The documents of registration: application, public notice, certificate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marketplace.assets.models import Asset, Version
from marketplace.kernel.canonical import Json
from marketplace.kernel.clock import timestamp
from marketplace.participants.models import Participant
from marketplace.registration.models import Application

KIND = "certificate"
SIGN_AS = "certificate+jws"

People = Mapping[str, Participant]


def application(found: Application, people: People, asset: Asset, version: Version) -> Json:
    """The application as filed: who asks whom for which rights on which data."""
    return {
        "type": "application",
        "id": found.id,
        "registrar": _party(people[found.registrar_id]),
        "applicant": _party(people[found.applicant_id]),
        "data": _data(asset, version, found.form),
        "version": version.id,
        "version_root": version.root,
        "form": found.form,
        "filed_at": timestamp(found.filed_at),
    }


def notice(found: Application, people: People, asset: Asset) -> Json:
    """The public notice (art. 24): applicant, data name, overview, limits, without what is withheld."""
    withheld = (found.form["form"]["withheld"] or {}).get("fields", [])
    assert found.notice_from is not None
    assert found.notice_until is not None
    return {
        "type": "notice",
        "application": found.id,
        "registrar": people[found.registrar_id].legal_name,
        "applicant": people[found.applicant_id].legal_name,
        "data_name": asset.name,
        "overview": None if "overview" in withheld else asset.overview,
        "limits": None if "limits" in withheld else found.form["form"]["limits"],
        "rights": [{"kind": one["kind"], "holder": people[one["holder"]].legal_name} for one in found.form["rights"]],
        "from": timestamp(found.notice_from),
        "until": timestamp(found.notice_until),
    }


def certificate(
    found: Application,
    people: People,
    asset: Asset,
    version: Version,
    *,
    code: str,
    opinion: str,
    profile: str,
    issued_at: datetime,
    valid_until: datetime,
) -> Json:
    """The certificate; schema in `contracts/documents/certificate.schema.json`.  opinion: its document's SHA-256."""
    return {
        "type": KIND,
        "code": code,
        "profile": profile,
        "registrar": _party(people[found.registrar_id]),
        "applicant": _party(people[found.applicant_id]),
        "asset": _data(asset, version, found.form),
        "version": version.id,
        "version_root": version.root,
        "manifest": version.manifest,
        "rights": [_right(one, people[one["holder"]], issued_at, valid_until) for one in found.form["rights"]],
        "opinion": opinion,
        "application": found.document,
        "notice": _notice(found),
        "issued_at": timestamp(issued_at),
        "valid_until": timestamp(valid_until),
    }


def _notice(found: Application) -> Json:
    assert found.notice_from is not None
    assert found.notice_until is not None
    return {
        "document": found.notice_document,
        "from": timestamp(found.notice_from),
        "until": timestamp(found.notice_until),
    }


def _party(one: Participant) -> Json:
    return {"id": one.id, "name": one.legal_name, "credit_code": one.credit_code, "kind": one.kind}


def _data(asset: Asset, version: Version, form: Mapping[str, Any]) -> Json:
    """The fields of annex 1."""
    answers = form["form"]
    return {
        "id": asset.id,
        "name": asset.name,
        "overview": asset.overview,
        "industry": asset.industry,
        "source_kind": asset.source_kind,
        "origin": answers["origin"],
        "region": asset.region,
        "time_from": asset.time_from,
        "time_to": asset.time_to,
        "update_frequency": asset.update_frequency,
        "volume": {"records": version.records, "files": version.files, "bytes": str(version.bytes)},
        "form": {"medium": answers["medium"], "structure": answers["structure"]},
        "limits": answers["limits"],
    }


def _right(one: Mapping[str, Any], holder: Participant, issued_at: datetime, valid_until: datetime) -> Json:
    return {
        "kind": one["kind"],
        "holder": holder.id,
        "name": holder.legal_name,
        "credit_code": holder.credit_code,
        "from": timestamp(issued_at),
        # RFC 3339 in one fixed form, so the earlier text is the earlier moment.
        "until": min(one["until"] or timestamp(valid_until), timestamp(valid_until)),
        "limits": one["limits"],
    }
