"""Who may use which operation: one row per operation of the OpenAPI document, judged for every identity (G18).

The objects behind the paths belong to `owner` (a provider), `firm`, `registrar` and `exchange`, as arranged in
`tests.hostile.story`; `buyer` is party to its agreement, `other_buyer` to its pending request; the `other_*` are
strangers with the same role.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.hostile.story import IDENTITIES

KNOWN = frozenset(name for name, party in IDENTITIES.items() if party is not None)
ASSESSORS = "firm other_firm registrar other_registrar exchange other_exchange auditor"


BY_STATE = 0
"""Any refusal: which one depends on the state of the object."""


@dataclass(frozen=True)
class Row:
    """let_in: identities that may; others: what the rest gets, 403 or 404; also: who gets another refusal, or BY_STATE.

    public: everybody gets the same answer, also who proves nothing.
    states: agreement states in which the operation may work for those who may; elsewhere it is refused to them too.
    """

    let_in: frozenset[str] = frozenset()
    others: int = 404
    also: dict[str, int] = field(default_factory=dict)
    public: bool = False
    states: frozenset[str] | None = None

    def refusal(self, identity: str) -> int | None:
        """The status of the refusal of an identity, None where it is let in."""
        if self.public or identity in self.let_in:
            return None
        return 401 if identity == "anonymous" else self.also.get(identity, self.others)


def only(names: str, others: int = 404, *, states: str = "", **also: int) -> Row:
    """A row for the named identities."""
    return Row(frozenset(names.split()), others, also, states=frozenset(states.split()) if states else None)


PUBLIC = Row(public=True)
ANYBODY = Row(KNOWN)
_PARTIES = "owner buyer"
_READERS = "owner buyer auditor"

# The console's pages that show what belongs to parties, where these are no invented examples: path -> who reads it.
# owner_id, buyer_id, exchange_id, firm_id: the participants behind those identities.
PAGES: dict[str, Row] = {
    "/participants/{owner_id}/director": only("owner auditor"),
    "/participants/{owner_id}/assets/{asset_id}": only("owner auditor"),
    "/participants/{owner_id}/assets/{asset_id}/postings": only("owner auditor"),
    "/participants/{owner_id}/sales": only("owner auditor"),
    "/participants/{owner_id}/shares": only("owner auditor"),
    "/participants/{owner_id}/payables": only("owner auditor"),
    "/participants/{firm_id}/payables": only("firm auditor"),
    "/participants/{buyer_id}/purchases": only("buyer auditor"),
    "/participants/{exchange_id}/sales": only("exchange auditor"),
    "/invoices/{invoice_id}": only("exchange auditor"),
    "/invoices/{invoice_id}/invoice.pdf": only("exchange auditor"),
    "/demand": ANYBODY,
    "/demand/{demand_id}": ANYBODY,
    "/participants": PUBLIC,
    "/tariffs": PUBLIC,
}

ROWS: dict[str, Row] = {
    # participants: the register is open to its members, changed by the operator
    "admit_participant": only("operator", 403),
    "list_participants": ANYBODY,
    "get_participant": ANYBODY,
    "suspend_participant": only("operator", 403),
    "reinstate_participant": only("operator", 403),
    "register_key": only("owner", 403),
    "list_keys": ANYBODY,
    "revoke_key": only("owner operator", 403),
    "register_connector": only("operator", 403),
    "list_connectors": ANYBODY,
    "suspend_connector": only("operator", 403),
    "reinstate_connector": only("operator", 403),
    "issue_token": PUBLIC,
    "get_authorization_server": PUBLIC,
    "get_protected_resource": PUBLIC,
    "get_service_keys": PUBLIC,
    # assets: seen by their provider and by those who assess, certify and list
    "register_asset": only("owner other_provider", 403),
    "list_assets": ANYBODY,
    "get_asset": only(f"owner {ASSESSORS}"),
    "list_versions": only(f"owner {ASSESSORS}"),
    "get_version": only(f"owner {ASSESSORS}"),
    "get_passport": only(f"owner {ASSESSORS}"),
    "suspend_version": only("owner"),
    "resume_version": only("owner"),
    "retire_version": only("owner"),
    "get_document": only(_READERS),
    # collection and governance: the provider's own
    "open_version": only("owner"),
    "put_files": only("owner"),
    "seal_version": only("owner"),
    "sign_collection_record": only("owner"),
    "withdraw_consent": only("owner"),
    "list_files": only("owner"),
    "list_left_out_files": only("owner"),
    "get_manifest": only("owner"),
    "prepare_face_declaration": only("owner"),
    "sign_face_declaration": only("owner"),
    "start_governance": only("owner"),
    "get_governance_job": only("owner"),
    "list_held_back_files": only("owner"),
    "sign_governance_record": only("owner"),
    # assessment
    "get_checklist": PUBLIC,
    "add_evidence": only(
        "owner firm other_firm", registrar=403, other_registrar=403, exchange=403, other_exchange=403, auditor=403
    ),
    "list_evidence": only(f"owner {ASSESSORS}"),
    "get_evidence": only(f"owner {ASSESSORS}"),
    "draft_opinion": only("firm other_firm", 403),
    "list_opinions": only(f"owner {ASSESSORS}"),
    "get_opinion": only(f"owner {ASSESSORS}"),
    "sign_opinion": only("firm"),
    "meet_condition": only("firm"),
    # registration: the applicant and its registrar; the register of certificates is public
    "file_application": only("owner"),
    "list_applications": ANYBODY,
    "get_application": only("owner registrar auditor"),
    "accept_application": only("registrar"),
    "return_application": only("registrar"),
    "refuse_application": only("registrar"),
    "open_notice": only("registrar"),
    "raise_objection": Row(KNOWN - {"other_registrar", "auditor"}, 403),  # a registrar rules on objections
    "settle_objection": only("registrar"),
    "prepare_certificate": only("registrar"),
    "sign_certificate": only("registrar"),
    "list_notices": PUBLIC,
    "find_certificates": PUBLIC,
    "get_certificate": PUBLIC,
    "get_certificate_document": PUBLIC,
    "suspend_certificate": only("registrar", 403),
    "resume_certificate": only("registrar", 403),
    "cancel_certificate": only("registrar", 403),
    # exchange: the provider and its exchange; the catalogue is public
    "list_terms": PUBLIC,
    "make_offer": only("owner"),
    "list_offers": ANYBODY,
    "get_offer": only("owner"),
    "submit_listing": only("owner"),
    "list_listings": ANYBODY,
    "get_listing": only("owner exchange auditor"),
    "review_listing": only("exchange"),
    "return_listing": only("exchange"),
    "prepare_listing": only("exchange"),
    "publish_listing": only("exchange"),
    "suspend_listing": only("owner exchange", auditor=403),
    "resume_listing": only("exchange"),
    "force_listing_off": only("exchange"),
    "reinstate_listing": only("exchange"),
    "withdraw_listing": only("owner exchange", auditor=403),
    "search_catalogue": PUBLIC,
    "get_catalogue_listing": PUBLIC,
    "count_catalogue": PUBLIC,
    "search_own_catalogue": ANYBODY,
    "describe_catalogue": PUBLIC,
    "describe_listing": PUBLIC,
    "list_private_listings": ANYBODY,
    "list_market_references": PUBLIC,
    "publish_demand": only("buyer other_buyer", 403),
    "list_demands": ANYBODY,
    "list_demand_matches": ANYBODY,
    "get_demand_board": ANYBODY,
    # negotiation: the two parties of a request
    "request_access": only("buyer other_buyer", 403),
    "list_requests": ANYBODY,
    "get_request": only("owner other_buyer"),
    "approve_request": only("owner", other_buyer=403),
    "return_request": only("owner", other_buyer=403),
    "resubmit_request": only("other_buyer", owner=403),
    "decline_request": only("owner other_buyer"),
    "list_rounds": only("owner other_buyer"),
    "offer_terms": only("owner", other_buyer=403),
    "counter_offer": only("other_buyer", owner=403),
    "accept_offer": only("other_buyer", owner=403),
    "draft_agreement": only("owner", other_buyer=403),
    "review_terms": only("owner", other_buyer=403),
    "offer_directly": only("owner", 403),
    "get_answer_rule": only("owner"),
    "get_acceptance_rule": only("buyer other_buyer", 403),
    "set_acceptance_rule": only("buyer other_buyer", 403),
    "set_answer_rule": only("owner", exchange=403),
    "list_agreements": ANYBODY,
    "get_agreement": only(_READERS),
    "get_agreement_text": only(_READERS),
    "get_agreement_pdf": only(_READERS),
    "compare_agreements": only(_READERS),
    "sign_agreement": only(_PARTIES),
    "suspend_agreement": only(_PARTIES),
    "resume_agreement": only("owner", buyer=BY_STATE, states="suspended"),
    "terminate_agreement": only(_PARTIES),
    "get_succession": only(_READERS),
    "sign_act": only(_PARTIES),
    "propose_amendment": only(_PARTIES, states="finalized"),
    "propose_renewal": only(_PARTIES, states="finalized"),
    "review_successor": only("owner", buyer=403),
    "return_successor": only(_PARTIES),
    "ask_assignment": only("buyer", owner=403, states="finalized suspended"),
    "refuse_assignment": only("owner", buyer=403),
    "get_duties": only(_READERS),
    "report_use": only("buyer", owner=403, states="finalized suspended terminated expired superseded"),
    "list_use_reports": only(_READERS),
    "certify_deletion": only("buyer", owner=403, states="terminated expired superseded"),
    "list_deletion_certificates": only(_READERS),
    # use: only the buyer, only while the agreement is in force
    "get_delivery_manifest": only(_READERS, states="finalized suspended terminated expired superseded"),
    "list_transfers": only(_READERS),
    "decide_use": only("buyer", 403, states="finalized"),
    "download_data": only("buyer", 403, states="finalized"),
    "download_file": only("buyer", 403, states="finalized"),
    # policies: replaced by the operator, seen by all, fetched by OPA servers
    "accept_policies": only("operator", 403),
    "get_policies": ANYBODY,
    "get_policy_bundle": PUBLIC,
    "list_stop_notices": ANYBODY,
    "get_stop_notice": only("owner auditor"),
    "get_notice_address": ANYBODY,
    "set_notice_address": Row(KNOWN - {"auditor"}, 403),
    "remove_notice_address": Row(KNOWN - {"auditor"}, 403),
    # what a use would cost, invoices and shares: the exchange bills; each sees its own
    "preview_listing_price": PUBLIC,
    "preview_use_price": only(_READERS),
    "issue_invoice": only("exchange other_exchange", 403),
    "list_invoices": ANYBODY,
    "get_invoice": only("exchange auditor"),
    "get_invoice_pdf": only("exchange auditor"),
    "pay_invoice": only("exchange"),
    "credit_invoice": only("exchange"),
    "list_shares": ANYBODY,
    "list_settlement_schemes": PUBLIC,
    "choose_settlement_scheme": only("owner other_provider", 403),
    "set_bank_account": Row(KNOWN - {"auditor"}, 403),
    "order_payments": only("exchange other_exchange", 403),
    "list_payment_orders": ANYBODY,
    "cancel_payment_order": only("exchange"),
    "resolve_payment_order": only("exchange"),
    "list_refunds": ANYBODY,
    "get_payment_file": only("exchange auditor"),
    "list_outcomes": only(_READERS),
    "declare_outcome": only(_PARTIES),  # and the verifier where the plan names one, as no plan of the story does
    "dispute_outcome": only(_PARTIES),
    "take_bank_statement": only("owner other_provider exchange other_exchange", 403),
    # what a provider owes for stages: it orders and says it paid; who did the work reads what it is owed
    "list_payables": ANYBODY,
    "order_payables": only("owner other_provider", 403),
    "pay_payable": only("owner"),
    # dataspace: what a participant here has with connectors elsewhere
    "ask_for_catalogue": only("buyer other_buyer", 403),
    "ask_for_contract": only("buyer other_buyer", 403),
    "offer_elsewhere": only("owner", 403),
    "ask_for_data": only("buyer other_buyer", 403),
    "list_exchanges": ANYBODY,
    "list_held_agreements": ANYBODY,
    "get_held_agreement": only("buyer auditor"),
    "get_exchange": only("buyer auditor"),
    "get_pushed_content": only("buyer"),
    "move_exchange": only("buyer", auditor=403),
    # books
    "get_asset_costs": only("owner auditor"),
    "simulate_asset": only("owner auditor"),
    "get_director_page": only("owner other_provider auditor", 403),
    "list_tariffs": PUBLIC,
    "list_accounts": ANYBODY,
    "list_transactions": ANYBODY,
    "export_books": ANYBODY,
    "list_periods": ANYBODY,
    "get_trial_balance": ANYBODY,
    "get_period_closing": only("operator auditor", 403),
    "close_period": only("operator", 403),
    "reopen_period": only("operator", 403),
    "capitalise_asset": only("owner"),
    "state_work": only("owner"),
    "get_accounting_disclosure": ANYBODY,
    "list_costs": ANYBODY,
    "get_cost_estimate": only("owner auditor"),
    "get_accounting_disclosure_csv": ANYBODY,
    # the log: its tree is public, its entries are not
    "get_checkpoint": PUBLIC,
    "get_tile": PUBLIC,
    "get_entry_bundle": only("auditor", 403),
    "get_inclusion_proof": PUBLIC,
    "get_proof_file": PUBLIC,
    "get_consistency_proof": PUBLIC,
    "get_log_keys": PUBLIC,
    "list_entries": ANYBODY,
    "get_entry": only("owner auditor"),
    "export_log": ANYBODY,
    "report_disclosures": only("owner auditor", 403),
    "list_fhir_audit_events": ANYBODY,
    "list_persons": ANYBODY,
    "disclose_person": only("owner auditor"),
    "erase_person": only("owner", auditor=403),
    "get_liveness": PUBLIC,
    "get_readiness": PUBLIC,
}
