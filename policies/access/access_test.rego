package access_test

import data.access
import rego.v1

digest := "00000000000000000000000000000000000000000000000000000000000000aa"

permission := {
	"action": "use",
	"target": "ast_1",
	"constraints": [
		{"left": "purpose", "operator": "isAnyOf", "values": ["model_training", "statistics"], "number": 0},
		{"left": "count", "operator": "lteq", "values": [], "number": 5},
		{"left": "mkt:volumeBytes", "operator": "lteq", "values": [], "number": 1000},
		{"left": "dateTime", "operator": "gteq", "values": [], "number": 100},
		{"left": "dateTime", "operator": "lteq", "values": [], "number": 200},
		{"left": "recipient", "operator": "eq", "values": ["buyer"], "number": 0},
	],
	"groups": [],
	"duties": [{"action": "mkt:pseudonymisePerAgreement", "constraints": []}],
}

# The one allowed case; every refusal below changes one fact of it.
facts := {
	"now": 150,
	"digest": digest,
	"asked": {
		"party": "buyer",
		"asset": "ast_1",
		"action": "read",
		"purpose": "model_training",
		"delivery_mode": "download",
		"place": "CN",
		"output": "records",
		"smallest_group": 1,
		"ethics_approval": "",
	},
	"agreement": {
		"id": "agr_1",
		"document": "d",
		"state": "finalized",
		"provider": "provider",
		"buyer": "buyer",
		"provider_place": "CN",
		"buyer_place": "CN",
		"buyer_kind": "pharma",
		"asset": "ast_1",
		"version": "ver_1",
		"delivery_mode": "download",
		"starts_at": 100,
		"ends_at": 300,
		"final_at": 90,
		"signers": ["buyer", "provider"],
		"terms_signed": true,
		"parties_active": true,
		"listing_stands": true,
		"held_for": "",
	},
	"uses": {
		"type": "Agreement",
		"profile": "https://w3id.org/medical-data-market/profile/v1/",
		"assigner": "provider",
		"assignee": "buyer",
		"target": "ast_1",
		"permissions": [permission],
		"prohibitions": [{"action": "mkt:reidentify"}, {"action": "mkt:link"}, {"action": "distribute"}],
		"unknown": [],
	},
	"version": {
		"id": "ver_1",
		"asset": "ast_1",
		"kind": "governed",
		"stage": "listed",
		"sealed": true,
		"consent_stands": true,
	},
	"certificate": {"valid": true, "state": "valid"},
	"opinion": {"valid": true, "state": "valid"},
	"quota": {"uses_taken": 4, "uses_asked": 1, "bytes_taken": 900, "bytes_asked": 100},
	"epoch": 0,
}

allowed := {"allow": true, "reasons": [], "obligations": permission.duties, "echo": digest}

refused(reasons) := {"allow": false, "reasons": reasons, "obligations": [], "echo": digest}

changed(patches) := json.patch(facts, patches)

answer(patches) := decision if {
	given := changed(patches)

	# The facts are given by the tests that ask.
	# regal ignore:with-outside-test-context
	decision := access.decision with input as given
}

set_to(path, value) := [{"op": "replace", "path": path, "value": value}]

constraint(number, member, value) := set_to(path, value) if {
	path := concat("/", ["/uses/permissions/0/constraints", format_int(number, 10), member])
}

test_allowed_as_agreed if answer([]) == allowed

test_allowed_by_the_action_itself if answer(set_to("/asked/action", "use")) == allowed

test_allowed_by_a_wider_action if answer(set_to("/asked/action", "train")) == allowed

test_allowed_at_the_last_second_of_a_date_constraint if answer(set_to("/now", 200)) == allowed

test_allowed_to_go_on_with_a_counted_use if {
	answer([
		{"op": "replace", "path": "/quota/uses_taken", "value": 5},
		{"op": "replace", "path": "/quota/uses_asked", "value": 0},
	]) == allowed
}

deletion(operator, value) := {
	"action": "delete",
	"constraints": [{"left": "elapsedTime", "operator": operator, "values": [value], "number": 0}],
}

test_allowed_with_a_duty_that_has_a_limit if {
	decision := answer(set_to("/uses/permissions/0/duties", [deletion("lteq", "P30D")]))
	decision.obligations == [deletion("lteq", "P30D")]
	decision.allow
}

test_refused_unknown_limit_of_a_duty if {
	every duty in [
		deletion("gt", "P30D"),
		deletion("lteq", "P1M"),
		{"action": "delete", "constraints": []},
		object.union(deletion("lteq", "P30D"), {"action": "attribute"}),
	] {
		answer(set_to("/uses/permissions/0/duties", [duty])) == refused(["unknown_term"])
	}
}

test_refused_other_purpose if answer(set_to("/asked/purpose", "education")) == refused(["purpose_not_permitted"])

test_refused_purpose_denied_always if {
	answer(set_to("/asked/purpose", "marketing")) == refused(["purpose_denied_always"])
}

test_refused_permission_without_purpose if {
	answer([{"op": "remove", "path": "/uses/permissions/0/constraints/0"}]) == refused(["purpose_not_permitted"])
}

test_refused_wrong_party if {
	answer(set_to("/asked/party", "somebody")) == refused(["wrong_party"])
}

test_refused_other_recipient if answer(constraint(5, "values", ["other"])) == refused(["wrong_party"])

test_refused_other_assignee if answer(set_to("/uses/assignee", "other")) == refused(["wrong_party"])

test_refused_wrong_asset if answer(set_to("/asked/asset", "ast_2")) == refused(["wrong_asset"])

test_refused_other_version if answer(set_to("/version/id", "ver_2")) == refused(["wrong_asset"])

test_refused_other_target if answer(set_to("/uses/permissions/0/target", "ast_2")) == refused(["wrong_asset"])

test_refused_before_the_term if answer(set_to("/agreement/starts_at", 151)) == refused(["not_started"])

test_refused_before_a_date if answer(constraint(3, "number", 151)) == refused(["not_started"])

test_refused_after_the_term if answer(set_to("/agreement/ends_at", 150)) == refused(["expired"])

test_refused_after_a_date if answer(constraint(4, "number", 149)) == refused(["expired"])

test_refused_over_count if answer(set_to("/quota/uses_taken", 5)) == refused(["quota_exceeded"])

test_refused_over_volume if answer(set_to("/quota/bytes_taken", 901)) == refused(["quota_exceeded"])

test_refused_unsigned if answer(set_to("/agreement/signers", ["buyer"])) == refused(["agreement_not_final"])

test_refused_drafted if answer(set_to("/agreement/state", "drafted")) == refused(["agreement_not_final"])

test_refused_suspended if answer(set_to("/agreement/state", "suspended")) == refused(["agreement_suspended"])

test_refused_report_missing if {
	held := [
		{"op": "replace", "path": "/agreement/state", "value": "suspended"},
		{"op": "add", "path": "/agreement/held_for", "value": "use_report_missing"},
	]
	answer(held) == refused(["use_report_missing"])
}

test_refused_invoice_overdue if {
	held := [
		{"op": "replace", "path": "/agreement/state", "value": "suspended"},
		{"op": "add", "path": "/agreement/held_for", "value": "invoice_overdue"},
	]
	answer(held) == refused(["invoice_overdue"])
}

test_refused_terminated if answer(set_to("/agreement/state", "terminated")) == refused(["agreement_terminated"])

test_refused_superseded if answer(set_to("/agreement/state", "superseded")) == refused(["agreement_superseded"])

test_refused_terms_changed if answer(set_to("/agreement/terms_signed", false)) == refused(["terms_not_signed"])

test_refused_party_suspended if answer(set_to("/agreement/parties_active", false)) == refused(["party_suspended"])

test_refused_certificate if answer(set_to("/certificate/valid", false)) == refused(["certificate_not_valid"])

test_refused_opinion if answer(set_to("/opinion/valid", false)) == refused(["opinion_not_valid"])

test_refused_suspended_certificate if {
	answer(set_to("/certificate", {"valid": false, "state": "suspended"})) == refused(["certificate_suspended"])
}

test_refused_cancelled_certificate if {
	answer(set_to("/certificate", {"valid": false, "state": "cancelled"})) == refused(["certificate_cancelled"])
}

test_refused_suspended_version if answer(set_to("/version/stage", "suspended")) == refused(["version_suspended"])

test_refused_retired_version if answer(set_to("/version/stage", "retired")) == refused(["version_retired"])

test_refused_unlisted_version if answer(set_to("/version/stage", "certified")) == refused(["version_not_listed"])

test_refused_forced_off if answer(set_to("/agreement/listing_stands", false)) == refused(["listing_forced_off"])

test_refused_unknown_listing if {
	answer([{"op": "remove", "path": "/agreement/listing_stands"}]) == refused(["listing_forced_off"])
}

test_refused_without_consent if answer(set_to("/version/consent_stands", false)) == refused(["consent_withdrawn"])

test_refused_without_consent_by_one_name if {
	answer([
		{"op": "replace", "path": "/version/consent_stands", "value": false},
		{"op": "replace", "path": "/version/stage", "value": "suspended"},
	]) == refused(["consent_withdrawn"])
}

test_refused_unknown_consent if {
	answer([{"op": "remove", "path": "/version/consent_stands"}]) == refused(["consent_withdrawn"])
}

test_refused_expired if answer(set_to("/agreement/state", "expired")) == refused(["expired"])

test_refused_raw if answer(set_to("/version/kind", "raw")) == refused(["raw_version"])

test_refused_unknown_operator if {
	answer(constraint(1, "operator", "gteq")) == refused(["quota_exceeded", "unknown_term"])
}

test_refused_unknown_operand if answer(constraint(1, "left", "weather")) == refused(["unknown_term"])

test_refused_listed_unknown if answer(set_to("/uses/unknown", ["/permission/0/odd"])) == refused(["unknown_term"])

test_refused_unknown_duty if {
	answer(set_to("/uses/permissions/0/duties/0/action", "inform")) == refused(["unknown_term"])
}

test_refused_unknown_prohibition if answer(set_to("/uses/prohibitions/0/action", "sell")) == refused(["unknown_term"])

test_refused_unknown_profile if answer(set_to("/uses/profile", "other")) == refused(["unknown_term"])

test_refused_offer_in_place_of_agreement if answer(set_to("/uses/type", "Offer")) == refused(["unknown_term"])

test_refused_action if answer(set_to("/uses/permissions/0/action", "train")) == refused(["action_not_permitted"])

test_refused_prohibited_action if answer(set_to("/asked/action", "distribute")) == refused(["prohibited_action"])

test_refused_empty_rule_set if answer(set_to("/uses/permissions", [])) == refused(["action_not_permitted"])

test_refused_delivery_mode if {
	answer(set_to("/asked/delivery_mode", "compute")) == refused(["delivery_mode_not_permitted"])
}

# Purpose of one permission with the action of another grants nothing.
test_refused_halves_of_two_permissions if {
	answer([
		{"op": "replace", "path": "/asked/purpose", "value": "education"},
		{"op": "add", "path": "/uses/permissions/1", "value": object.union(permission, {
			"action": "train",
			"constraints": [{"left": "purpose", "operator": "eq", "values": ["education"], "number": 0}],
		})},
	]) == refused(["purpose_not_permitted"])
}

test_refused_without_any_fact if not access.decision with input as {}

test_refused_when_any_section_is_missing if {
	every section in ["now", "asked", "agreement", "uses", "version", "certificate", "opinion", "quota"] {
		given := object.remove(facts, [section])
		access.decision.allow == false with input as given
	}
}
