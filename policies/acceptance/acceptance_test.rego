package acceptance_test

import data.acceptance
import rego.v1

good := {
	"digest": "d1",
	"now": 1,
	"move": "accept",
	"rule": {
		"purposes": ["model_training", "statistics"],
		"price_at_most_fen": 100,
		"price_per_use_at_most_fen": 10,
		"rounds_at_most": 2,
		"counters": false,
	},
	"proposal": {
		"round": 2,
		"offered": true,
		"purpose": "model_training",
		"price_fen": 100,
		"price_per_use_fen": 10,
		"changed": [],
	},
	"provider": {"id": "prt_provider", "verified": true, "suspended": false},
	"buyer": {
		"id": "prt_buyer",
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

test_allowed_within_the_rule if acceptance.decision == allowed with input as good

test_allowed_to_counter_where_the_rule_says_so if {
	facts := json.patch(good, [
		{"op": "replace", "path": "/move", "value": "counter"},
		{"op": "replace", "path": "/rule/counters", "value": true},
	])
	acceptance.decision == allowed with input as facts
}

test_allowed_genomic_for_a_buyer_at_home if {
	facts := json.patch(good, [
		{"op": "replace", "path": "/contains_genomic", "value": true},
		{"op": "replace", "path": "/buyer/foreign_controlled", "value": false},
	])
	acceptance.decision == allowed with input as facts
}

test_refused_counter_without_a_word if {
	acceptance.decision == refused("move_for_people") with input as changed("/move", "counter")
}

test_refused_unknown_move if {
	acceptance.decision == refused("move_for_people") with input as changed("/move", "sign")
}

test_refused_what_was_not_offered if {
	acceptance.decision == refused("not_offered") with input as changed("/proposal/offered", false)
}

test_refused_purpose if {
	acceptance.decision == refused("purpose_for_people") with input as changed("/proposal/purpose", "education")
}

test_refused_price if {
	acceptance.decision == refused("price_too_high") with input as changed("/proposal/price_fen", 101)
}

test_refused_price_per_use if {
	acceptance.decision == refused("price_per_use_too_high") with input as changed("/proposal/price_per_use_fen", 11)
}

test_refused_terms if {
	acceptance.decision == refused("terms_changed") with input as changed("/proposal/changed", ["starts_at"])
}

test_refused_round if {
	acceptance.decision == refused("too_many_rounds") with input as changed("/proposal/round", 3)
}

test_refused_provider_suspended if {
	acceptance.decision == refused("provider_not_active") with input as changed("/provider/suspended", true)
}

test_refused_provider_unverified if {
	acceptance.decision == refused("provider_not_active") with input as changed("/provider/verified", false)
}

test_refused_unverified if {
	acceptance.decision == refused("party_not_verified") with input as changed("/buyer/verified", false)
}

test_refused_suspended if {
	acceptance.decision == refused("party_suspended") with input as changed("/buyer/suspended", true)
}

test_refused_overdue if {
	acceptance.decision == refused("proof_overdue") with input as changed("/buyer/overdue", ["use_report_missing"])
}

test_refused_genomic_abroad if {
	acceptance.decision == refused("foreign_controlled_genomic") with input as changed("/contains_genomic", true)
}

test_refused_without_facts if {
	answer := acceptance.decision with input as {"digest": "d1"}
	answer.allow == false
	count(answer.reasons) == 12
}
