package lib.constraints_test

import data.access_test
import data.lib.constraints
import data.lib.odrl
import data.lib.vocabulary
import rego.v1

named(left, operator, values) := {"left": left, "operator": operator, "values": values, "number": 0}

numbered(left, operator, number) := {"left": left, "operator": operator, "values": [], "number": number}

group(logic, parts) := {"logic": logic, "parts": parts}

with_constraint(constraint) := with_added("constraints", constraint)

with_group(constraints) := with_added("groups", constraints)

with_added(member, value) := access_test.answer([{
	"op": "add",
	"path": concat("/", ["/uses/permissions/0", member, "-"]),
	"value": value,
}])

with_prohibition(action, patches) := access_test.answer(array.concat(patches, [{
	"op": "add",
	"path": "/uses/prohibitions/-",
	"value": {"action": action},
}]))

holding := {
	named("purpose", "eq", ["model_training"]),
	named("recipient", "isAnyOf", ["buyer", "other"]),
	named("mkt:recipientKind", "eq", ["pharma"]),
	named("spatial", "isAnyOf", ["CN", "DE"]),
	named("output", "isAnyOf", ["records", "model"]),
	named("mkt:environment", "eq", ["download"]),
	numbered("mkt:minimumGroupSize", "gteq", 1),
	numbered("elapsedTime", "lteq", 86400),
	numbered("dateTime", "gteq", 150),
}

test_allowed_with_each_constraint_that_holds if {
	every constraint in holding {
		with_constraint(constraint) == access_test.allowed
	}
}

failing := {
	"purpose_not_permitted": named("purpose", "eq", ["statistics"]),
	"wrong_party": named("recipient", "isAnyOf", ["one", "other"]),
	"recipient_kind_not_permitted": named("mkt:recipientKind", "isAnyOf", ["insurer", "hospital"]),
	"place_not_permitted": named("spatial", "eq", ["DE"]),
	"output_not_permitted": named("output", "isAnyOf", ["aggregate", "model"]),
	"environment_not_permitted": named("mkt:environment", "eq", ["secure_environment"]),
	"ethics_approval_missing": named("mkt:ethicsApproval", "eq", ["valid"]),
	"group_too_small": numbered("mkt:minimumGroupSize", "gteq", 5),
	"quota_exceeded": numbered("count", "lteq", 4),
	"not_started": numbered("dateTime", "gteq", 151),
	"expired": numbered("dateTime", "lteq", 149),
}

test_refused_with_the_reason_of_each_constraint_that_fails if {
	every code, constraint in failing {
		with_constraint(constraint) == access_test.refused([code])
	}
}

test_refused_when_the_days_since_the_signatures_are_over if {
	late := array.concat(
		access_test.set_to("/agreement/final_at", 1),
		[{"op": "add", "path": "/uses/permissions/0/constraints/-", "value": numbered("elapsedTime", "lteq", 86400)}],
	)
	onwards := array.concat(late, [
		{"op": "replace", "path": "/now", "value": 86402},
		{"op": "replace", "path": "/agreement/ends_at", "value": 90000},
		{"op": "replace", "path": "/uses/permissions/0/constraints/4/number", "value": 90000},
	])
	access_test.answer(onwards) == access_test.refused(["expired"])
}

test_refused_days_since_signatures_that_were_never_made if {
	never := array.concat(
		access_test.set_to("/agreement/final_at", 0),
		[{"op": "add", "path": "/uses/permissions/0/constraints/-", "value": numbered("elapsedTime", "lteq", 999999)}],
	)
	access_test.answer(never) == access_test.refused(["expired"])
}

test_allowed_with_a_declared_ethics_approval if {
	approved := array.concat(
		access_test.set_to("/asked/ethics_approval", "ER-2026-017"),
		[{"op": "add", "path": "/uses/permissions/0/constraints/-", "value": failing.ethics_approval_missing}],
	)
	access_test.answer(approved) == access_test.allowed
}

# Groups: `deep` puts a constraint under four groups, the most that is known.

good := named("output", "eq", ["records"])

bad := failing.output_not_permitted

deep(logic, constraints) := group(logic, [group(logic, [group(logic, [group(logic, constraints)])])])

test_groups_hold_by_their_parts if {
	every logic in ["and", "or"] {
		with_group(deep(logic, [good, good])) == access_test.allowed
		with_group(deep(logic, [bad])) == access_test.refused(["output_not_permitted"])
	}
	with_group(deep("or", [bad, good])) == access_test.allowed
	with_group(deep("and", [bad, good])) == access_test.refused(["output_not_permitted"])
}

test_mixed_groups_of_every_depth if {
	with_group(group("and", [good, group("or", [bad, good])])) == access_test.allowed
	with_group(group("or", [bad, group("and", [good, group("or", [good])])])) == access_test.allowed
	with_group(group("or", [bad, group("and", [good, bad])])) == access_test.refused(["output_not_permitted"])
}

test_only_what_fails_is_named if {
	mixed := group("and", [good, group("or", [failing.place_not_permitted, good]), failing.group_too_small])
	with_group(mixed) == access_test.refused(["group_too_small"])
}

test_refused_a_fifth_group if {
	"unknown_term" in with_group(group("or", [deep("or", [good])])).reasons
}

test_refused_groups_that_are_not_known if {
	every odd in [
		group("xone", [good]),
		group("andSequence", [good]),
		group("and", []),
		object.union(group("and", [good]), {"left": "purpose"}),
		{"logic": "and"},
		object.union(good, {"logic": "or"}),
		good,
	] {
		decision := with_group(odd)
		"unknown_term" in decision.reasons
		not decision.allow
	}
}

test_refused_a_group_in_place_of_a_comparison if {
	"unknown_term" in with_constraint(group("and", [good])).reasons
}

test_refused_right_sides_that_are_not_known if {
	every odd in [
		named("output", "eq", ["records", "model"]),
		named("output", "isAnyOf", []),
		named("output", "isAnyOf", ["records", "everything"]),
		named("spatial", "eq", ["China"]),
		named("recipient", "eq", ["?"]),
		named("mkt:ethicsApproval", "eq", ["ER-1"]),
		named("count", "lteq", ["5"]),
		numbered("count", "lteq", -1),
		numbered("count", "gteq", 5),
	] {
		decision := with_constraint(odd)
		"unknown_term" in decision.reasons
		not decision.allow
	}
	not odrl.known_comparison(named("weather", "eq", ["sunny"]), vocabulary)
	constraints.reason_of(named("weather", "eq", ["sunny"])) == "unknown_term"
}

# Sending abroad: the place that is declared and the place of registration must both be the provider's.

test_prohibitions_that_change_nothing_for_a_lawful_use if {
	every action in ["mkt:individualDecision", "mkt:transferAbroad", "mkt:marketing"] {
		with_prohibition(action, []) == access_test.allowed
	}
}

test_refused_abroad if {
	every path in ["/asked/place", "/agreement/buyer_place"] {
		patch := access_test.set_to(path, "DE")
		with_prohibition("mkt:transferAbroad", patch) == access_test.refused(["transfer_abroad"])
		access_test.answer(patch) == access_test.allowed
	}
}
