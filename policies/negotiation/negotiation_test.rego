package negotiation_test

import data.negotiation
import rego.v1

good := {
	"digest": "d1",
	"now": 1,
	"rule": {
		"purposes": ["model_training", "statistics"],
		"buyer_kinds": ["pharma"],
		"price_not_below_fen": 100,
		"price_per_use_not_below_fen": 10,
		"terms_unchanged": true,
		"rounds_at_most": 2,
	},
	"proposal": {
		"round": 2,
		"by": "buyer",
		"purpose": "model_training",
		"price_fen": 100,
		"price_per_use_fen": 10,
		"changed": [],
	},
	"buyer": {
		"id": "prt_buyer",
		"kind": "pharma",
		"verified": true,
		"suspended": false,
		"foreign_controlled": true,
		"overdue": [],
	},
	"contains_genomic": false,
}

changed(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

refused(reason) := {"allow": false, "reasons": [reason], "obligations": [], "echo": "d1"}

allowed := {"allow": true, "reasons": [], "obligations": [], "echo": "d1"}

test_allowed_within_the_rule if negotiation.decision == allowed with input as good

test_allowed_with_changed_terms_where_the_rule_leaves_them_open if {
	facts := json.patch(good, [
		{"op": "replace", "path": "/rule/terms_unchanged", "value": false},
		{"op": "replace", "path": "/proposal/changed", "value": ["parameters", "term_days"]},
	])
	negotiation.decision == allowed with input as facts
}

test_allowed_genomic_for_a_buyer_at_home if {
	facts := json.patch(good, [
		{"op": "replace", "path": "/contains_genomic", "value": true},
		{"op": "replace", "path": "/buyer/foreign_controlled", "value": false},
	])
	negotiation.decision == allowed with input as facts
}

test_refused_own_proposal if {
	negotiation.decision == refused("not_asked_by_buyer") with input as changed("/proposal/by", "provider")
}

test_refused_purpose if {
	negotiation.decision == refused("purpose_for_people") with input as changed("/proposal/purpose", "education")
}

test_refused_kind if {
	negotiation.decision == refused("buyer_kind_for_people") with input as changed("/buyer/kind", "insurer")
}

test_refused_price if {
	negotiation.decision == refused("price_too_low") with input as changed("/proposal/price_fen", 99)
}

test_refused_price_per_use if {
	negotiation.decision == refused("price_per_use_too_low") with input as changed("/proposal/price_per_use_fen", 9)
}

test_refused_parameters if {
	negotiation.decision == refused("terms_changed") with input as changed("/proposal/changed", ["parameters"])
}

test_refused_term if {
	negotiation.decision == refused("terms_changed") with input as changed("/proposal/changed", ["term_days"])
}

test_refused_price_kind if {
	negotiation.decision == refused("price_kind_changed") with input as changed("/proposal/changed", ["price_kind"])
}

test_refused_round if {
	negotiation.decision == refused("too_many_rounds") with input as changed("/proposal/round", 3)
}

test_refused_unverified if {
	negotiation.decision == refused("party_not_verified") with input as changed("/buyer/verified", false)
}

test_refused_suspended if {
	negotiation.decision == refused("party_suspended") with input as changed("/buyer/suspended", true)
}

test_refused_overdue if {
	negotiation.decision == refused("proof_overdue") with input as changed("/buyer/overdue", ["use_report_missing"])
}

test_refused_genomic_abroad if {
	negotiation.decision == refused("foreign_controlled_genomic") with input as changed("/contains_genomic", true)
}

test_refused_without_facts if {
	answer := negotiation.decision with input as {"digest": "d1"}
	answer.allow == false
	count(answer.reasons) == 12
}
