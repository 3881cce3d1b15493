"""A valid form for every operation that takes a body, and valid values for required query parameters."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from marketplace.accounting.closing import document_to_sign
from marketplace.audit import documents
from marketplace.kernel.canonical import canonical, sha256_hex
from marketplace.kernel.clock import timestamp
from marketplace.kernel.signing import generate_key
from marketplace.ledger import queries as ledger
from marketplace.ledger.periods import PeriodState
from marketplace.negotiation import queries as negotiation
from seeds.cast import credit_code
from tests.exchange.parts import PARAMETERS, offer_in
from tests.hostile.story import CONNECTOR, IDENTITIES, SILENT_CONNECTOR, Story
from tests.legal.parts import opinion_in, registration
from tests.usage.agreed import dicom

Form = Callable[[Story, str], Any]

_WHY = {"reason": "example_reason", "note": ""}
_REASON = {"reason": "an example of a reason"}
_SUCCESSOR = {"reason": "more_uses_needed", "parameters": {"max_uses": 7}}


def _signature(kind: str) -> Form:
    """Well formed, by the identity's own key, over a document that the market never prepared."""

    def form(story: Story, identity: str) -> dict[str, str]:
        document = f"another {kind}".encode()
        key = story.house.cast[IDENTITIES[identity] or "hospital"].key
        return {"document": sha256_hex(document), "jws": key.sign_detached(document, typ=f"{kind}+jws")}

    return form


def _plain(body: dict[str, Any]) -> Form:
    return lambda story, identity: body


def _key(story: Story, identity: str) -> dict[str, Any]:
    jwk = generate_key().public_jwk
    return {"jwk": {name: jwk[name] for name in ("kty", "crv", "x")}}


def _participant(story: Story, identity: str) -> dict[str, Any]:
    return {
        "legal_name": "示例第二医院",
        "legal_name_en": "Example Second Hospital",
        "credit_code": credit_code("91999999000000777"),
        "kind": "hospital",
        "roles": ["provider"],
        "verified_by": "example registry",
        "verification_method": "example",
        "is_example": True,
    }


def connector_form(participant: str, identifier: str) -> dict[str, Any]:
    """A component that could be registered for a participant."""
    jwk = generate_key().public_jwk
    return {
        "participant_id": participant,
        "identifier": identifier,
        "software": "example-connector",
        "software_version": "1.0",
        "jwk": {name: jwk[name] for name in ("kty", "crv", "x")},
        "addresses": [CONNECTOR],
        "certified_by": "Example certifier",
        "certificate_number": "EX-1",
        "certified_until": "2030-01-01T00:00:00Z",
    }


def _elsewhere(story: Story) -> dict[str, Any]:
    return {"connector_id": story.ids["connector_id"], "address": f"{CONNECTOR}/dsp/provider/2025-1"}


def _application(story: Story, identity: str) -> dict[str, Any]:
    return {
        "version": story.ids["version_id"],
        "registrar": story.house.cast["registrar"].id,
        "rights": [{"kind": "holding"}, {"kind": "use"}, {"kind": "operating"}],
        "form": {"origin": "producer"},
    }


def _evidence(story: Story, identity: str) -> dict[str, Any]:
    return {"asset": story.ids["asset_id"], "kind": "ethics_approval", "title": "an approval", "text": "approved"}


def _opinion(story: Story, identity: str) -> dict[str, Any]:
    return opinion_in(story.ids["get_evidence.sha256"]).model_dump(mode="json", exclude_unset=True)


def _request(story: Story, identity: str) -> dict[str, Any]:
    return {"listing": story.ids["listing_id"], "purpose": "model_training", "justification": "to find nodules"}


def _terms(story: Story, identity: str) -> dict[str, Any]:
    return {
        "purpose": "model_training",
        "parameters": PARAMETERS,
        "price_plan": {"kind": "one_off", "price_fen": 4_000_000},
        "term_days": 30,
        "starts_at": timestamp(story.house.clock.now() + timedelta(days=1)),
    }


def small_tar(*names: str) -> bytes:
    """A tar of small slices under the given names."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number, name in enumerate(names or ("a.dcm",)):
            content = dicom(number + 50)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _proof(name: str, content: dict[str, Any]) -> Form:
    """A proof of use about the story's agreement, signed by the identity's own key."""

    def form(story: Story, identity: str) -> dict[str, Any]:
        house, agreement = story.house, story.ids["agreement_id"]
        with house.runtime.database.reading() as db:
            found = negotiation.agreement(db, agreement)
        document = {"v": 1, "agreement": {"id": agreement, "sha256": found.document}, **content}
        begins = timestamp(found.finalized_at or found.starts_at)
        if name == "report":
            document["period"] = {"from": begins, "to": timestamp(house.clock.now())}
        else:
            document["deleted_at"] = timestamp(house.clock.now())
        key = house.cast[IDENTITIES[identity] or "hospital"].key
        return {name: document, "jws": key.sign_detached(canonical(document), typ=f"{document['type']}+jws")}

    return form


def _acceptance_rule(story: Story, identity: str) -> dict[str, Any]:
    party = story.house.cast[IDENTITIES[identity] or "hospital"]
    rule = {
        "type": "acceptance-rule",
        "v": 1,
        "listing": story.ids["listing_id"],
        "buyer": party.id,
        "automatic": {
            "purposes": ["model_training"],
            "price_at_most_fen": 1,
            "price_per_use_at_most_fen": 0,
            "rounds_at_most": 1,
            "counter_price_fen": None,
        },
        "nonce": "ab" * 16,
    }
    return {"rule": rule, "jws": party.key.sign_detached(canonical(rule), typ="acceptance-rule+jws")}


_REPORT = {"type": "use-report", "uses": [], "results": ["none"], "staff": ["research"]}
_DELETION = {
    "type": "deletion-certificate",
    "deliveries": ["ab" * 32],
    "method": "overwriting",
    "backups_deleted": True,
}


_STATEMENT = (
    '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>1</Id>'
    '<Ntry><Amt Ccy="CNY">1.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>'
    "<AcctSvcrRef>R9</AcctSvcrRef></Ntry></Stmt></BkToCstmrStmt></Document>"
)


def _period(kind: str, content: Callable[[Story], dict[str, Any]]) -> Form:
    """A document about the story's closed month or the one before it, signed by the identity's own key."""

    def form(story: Story, identity: str) -> dict[str, Any]:
        document = {"type": kind, "v": 1, **content(story)}
        key = story.house.cast[IDENTITIES[identity] or "hospital"].key
        return {"document": document, "jws": key.sign_detached(canonical(document), typ=f"{kind}+jws")}

    return form


def _work(story: Story) -> dict[str, Any]:
    about = {"asset": story.ids["asset_id"], "version": None, "payee": None}
    return about | {"kind": "governance.hour", "quantity": 3, "reference": "W-1"}


def _to_close(story: Story) -> dict[str, Any]:
    with story.house.runtime.database.reading() as db:
        operator, month = story.house.cast["operator"].actor, story.ids["close_period.period"]
        held = ledger.period(db, month)
        if held is not None and held.state == PeriodState.CLOSED:  # by a request of before: it is said again
            return documents.content(db, held.document)
        return document_to_sign(db, operator, month, story.house.clock.now())


def _to_reopen(story: Story) -> dict[str, Any]:
    with story.house.runtime.database.reading() as db:
        held = ledger.period(db, story.ids["reopen_period.period"])
    assert held is not None
    return {"period": held.period, "close": held.document, "reason": "wrong_posting"}


FORMS: dict[str, Form] = {
    "admit_participant": _participant,
    "suspend_participant": _plain(_REASON),
    "reinstate_participant": _plain(_REASON),
    "register_key": _key,
    "revoke_key": _plain({"reason": "superseded"}),
    "register_connector": lambda story, identity: connector_form(story.house.cast["clinic"].id, "did:web:b.example"),
    "suspend_connector": _plain(_REASON),
    "reinstate_connector": _plain(_REASON),
    "ask_for_catalogue": lambda story, identity: (
        _elsewhere(story)
        | {"address": f"{SILENT_CONNECTOR}/dsp", "next": f"{SILENT_CONNECTOR}/dsp?2", "filter": {"text": "chest"}}
    ),
    "ask_for_contract": lambda story, identity: (
        _elsewhere(story)
        | {"offer": {"@id": "offer-1", "@type": "Offer", "target": "dataset-1", "permission": [{"action": "use"}]}}
    ),
    "offer_elsewhere": lambda story, identity: (
        _elsewhere(story)
        | {"listing": story.ids["listing_id"], "purpose": "model_training", "terms": _terms(story, identity)}
    ),
    "ask_for_data": lambda story, identity: _elsewhere(story) | {"agreement_id": "agreement-1"},
    "move_exchange": _plain({"move": "terminate"}),
    "register_asset": lambda story, identity: registration().model_dump(mode="json"),
    "suspend_version": _plain({"reason": "example_reason"}),
    "resume_version": _plain({"reason": "example_reason"}),
    "retire_version": _plain({"reason": "example_reason"}),
    "put_files": lambda story, identity: small_tar(),
    "seal_version": _plain({"source_statement": "our own scans"}),
    "sign_collection_record": _signature("collection-record"),
    "withdraw_consent": _plain({"files": ["ab" * 32], "reference": "cd" * 32}),
    "prepare_face_declaration": _plain({"basis": "defaced_before_collection"}),
    "sign_face_declaration": _signature("face-declaration"),
    "sign_governance_record": _signature("governance-record"),
    "add_evidence": _evidence,
    "draft_opinion": _opinion,
    "sign_opinion": _signature("opinion"),
    "meet_condition": lambda story, identity: {"evidence": story.ids["get_evidence.sha256"]},
    "file_application": _application,
    "return_application": _plain(_REASON),
    "refuse_application": _plain({"ground": "false_proof", "reason": "an example"}),
    "open_notice": _plain({"accuracy": "fits", "legality": "own", "clarity": "clear"}),
    "raise_objection": _plain({"grounds": "an example of grounds"}),
    "settle_objection": _plain({"upheld": False, "ruling": "an example of a ruling"}),
    "sign_certificate": _signature("certificate"),
    "suspend_certificate": _plain(_REASON),
    "resume_certificate": _plain(_REASON),
    "cancel_certificate": _plain(_REASON),
    "make_offer": lambda story, identity: offer_in().model_dump(mode="json"),
    "submit_listing": lambda story, identity: {"operator_id": story.house.cast["exchange"].id},
    "return_listing": _plain(_WHY),
    "publish_listing": _signature("listing"),
    "suspend_listing": _plain(_WHY),
    "resume_listing": _plain(_WHY),
    "force_listing_off": _plain(_WHY),
    "reinstate_listing": _plain(_WHY),
    "withdraw_listing": _plain(_WHY),
    "publish_demand": _plain({"title": "chest scans wanted", "purpose": "model_training"}),
    "request_access": _request,
    "approve_request": _plain({}),
    "return_request": _plain(_WHY),
    "resubmit_request": _plain({"justification": "to find nodules"}),
    "decline_request": _plain(_WHY),
    "offer_terms": _terms,
    "counter_offer": _terms,
    "accept_offer": _plain({"document": "ab" * 32}),
    "review_terms": lambda story, identity: {"office": "data_protection", "terms": _terms(story, identity)},
    "offer_directly": lambda story, identity: {
        "listing": story.ids["listing_id"],
        "buyer": story.house.cast["pharma"].id,
        "purpose": "model_training",
        "terms": _terms(story, identity),
    },
    "set_acceptance_rule": _acceptance_rule,
    "set_answer_rule": _plain(
        {
            "automatic": {
                "purposes": ["model_training"],
                "buyer_kinds": ["pharma"],
                "price_not_below_fen": 1,
                "price_per_use_not_below_fen": 0,
                "terms_unchanged": True,
                "rounds_at_most": 1,
            },
            "reviews": [{"office": "data_protection", "approvals": 1, "persons": ["p-1"]}],
        }
    ),
    "sign_agreement": _signature("agreement"),
    "report_use": _proof("report", _REPORT),
    "certify_deletion": _proof("certificate", _DELETION),
    "suspend_agreement": _plain(_WHY),
    "resume_agreement": _plain(_WHY),
    "terminate_agreement": _plain(_WHY),
    "sign_act": _signature("agreement-act"),
    "propose_amendment": _plain(_SUCCESSOR),
    "propose_renewal": _plain(_SUCCESSOR),
    "review_successor": _plain({"office": "data_protection", "document": "ab" * 32}),
    "return_successor": _plain(_WHY),
    "ask_assignment": lambda story, identity: {"assignee": story.house.cast["insurer"].id},
    "refuse_assignment": _plain(_WHY),
    "export_log": lambda story, identity: {"asset": story.ids["asset_id"]},
    "report_disclosures": lambda story, identity: {
        "asset": story.ids["asset_id"],
        "from": "2026-01-01T00:00:00Z",
        "to": "2027-01-01T00:00:00Z",
    },
    "issue_invoice": lambda story, identity: {"buyer": story.house.cast["insurer"].id},
    "pay_invoice": _plain({"reference": "R1", "amount_fen": 100}),
    "credit_invoice": _plain({"positions": [1], "reason": "cause_cancelled"}),
    "choose_settlement_scheme": lambda story, identity: {
        "scheme": "report-example-v1",
        "owners": {"operator": story.house.cast["operator"].id},
    },
    "set_bank_account": _plain({"holder": "示例户名", "account": "6222000011112222", "bank": "102100099996"}),
    "declare_outcome": _plain({"value_permille": 930}),
    "dispute_outcome": _plain({"reason": "wrong_measurement"}),
    "take_bank_statement": _plain({"statement": _STATEMENT}),
    "order_payables": _plain({"events": []}),
    "cancel_payment_order": _plain({"reason": "not_carried_out"}),
    "resolve_payment_order": _plain({"decision": "carried_out"}),
    "pay_payable": _plain({"reference": "R1"}),
    "close_period": _period("period-close", _to_close),
    "reopen_period": _period("period-reopening", _to_reopen),
    "capitalise_asset": _plain({"held_for": "service"}),
    "state_work": _period("work-statement", _work),
    "set_notice_address": _plain({"url": "https://inbox.buyer.example/notices"}),
    "accept_policies": _plain({"bundle": "bm8gYnVuZGxl"}),
    "issue_token": _plain({}),
}
QUERIES: dict[str, dict[str, str]] = {
    "decide_use": {"purpose": "model_training"},
    "download_data": {"purpose": "model_training"},
    "download_file": {"purpose": "model_training"},
    "find_certificates": {"sha256": "ab" * 32},
    "get_inclusion_proof": {"index": "0"},
    "get_proof_file": {"index": "0"},
    "get_consistency_proof": {"from": "0", "to": "0"},
    "export_books": {"from": "2026-01", "to": "2026-12"},
    "get_cost_estimate": {"records": "1000"},
    "get_accounting_disclosure": {"from": "2026-01", "to": "2026-12"},
    "get_accounting_disclosure_csv": {"from": "2026-01", "to": "2026-12"},
}
