# METADATA
# title: The closed ODRL profile
# description: |
#   Which terms are known and whether one holds.  The vocabulary repeats contracts/odrl/profile.json and
#   contracts/odrl/purposes.json; a test compares them.  Whatever is not named here is unknown, and unknown denies.
package lib.odrl

import rego.v1

profile := "https://w3id.org/medical-data-market/profile/v1/"

actions := {"use", "read", "train", "analyse"}

# action -> the wider action that includes it
included_in := {"read": "use", "train": "use", "analyse": "use"}

operators := {
	"purpose": {"eq", "isAnyOf"},
	"count": {"lteq"},
	"mkt:volumeBytes": {"lteq"},
	"dateTime": {"lteq", "gteq"},
	"recipient": {"eq"},
}

duties := {"mkt:pseudonymisePerAgreement", "attribute", "delete"}

duty_operators := {"elapsedTime": {"lteq"}}

prohibitions := {"mkt:reidentify", "mkt:link", "distribute"}

purposes := {
	"scientific_research",
	"product_development",
	"model_training",
	"model_validation",
	"statistics",
	"education",
	"public_health",
	"actuarial_pricing",
	"quality_improvement",
}

purposes_denied_always := {"marketing", "individual_insurance_decision", "reidentification"}

# METADATA
# title: Every term of the contract is one we understand
known(uses) if {
	uses.unknown == []
	uses.profile == profile
	uses.type == "Agreement"
	every permission in uses.permissions {
		known_permission(permission)
	}
	every prohibition in uses.prohibitions {
		prohibition.action in prohibitions
	}
}

known_permission(permission) if {
	permission.action in actions
	every constraint in permission.constraints {
		known_constraint(constraint)
	}
	every duty in permission.duties {
		known_duty(duty)
	}
}

known_constraint(constraint) if {
	constraint.operator in operators[constraint.left]
	constraint.left != "purpose"
}

known_constraint(constraint) if {
	constraint.left == "purpose"
	constraint.operator in operators.purpose
	count(constraint.values) > 0
	every value in constraint.values {
		value in purposes
	}
}

known_duty(duty) if {
	duty.action in duties
	every constraint in duty.constraints {
		constraint.operator in duty_operators[constraint.left]
	}
}

# METADATA
# title: An action is covered by itself and by the wider action that includes it
covers(granted, asked) if {
	granted == asked
	granted in actions
}

covers(granted, asked) if included_in[asked] == granted

# METADATA
# title: A constraint holds for the use that is asked for
# description: An operand or operator that is not listed here never holds.
holds(constraint, facts) if {
	constraint.left == "purpose"
	constraint.operator in operators.purpose
	facts.asked.purpose in constraint.values
}

holds(constraint, facts) if {
	constraint.left == "count"
	constraint.operator == "lteq"
	facts.quota.uses_taken + facts.quota.uses_asked <= constraint.number
}

holds(constraint, facts) if {
	constraint.left == "mkt:volumeBytes"
	constraint.operator == "lteq"
	facts.quota.bytes_taken + facts.quota.bytes_asked <= constraint.number
}

holds(constraint, facts) if {
	constraint.left == "dateTime"
	constraint.operator == "lteq"
	facts.now <= constraint.number
}

holds(constraint, facts) if {
	constraint.left == "dateTime"
	constraint.operator == "gteq"
	facts.now >= constraint.number
}

holds(constraint, facts) if {
	constraint.left == "recipient"
	constraint.operator == "eq"
	constraint.values == [facts.asked.party]
}

# METADATA
# title: The reason code of a constraint that does not hold
reason_of(constraint) := "purpose_not_permitted" if constraint.left == "purpose"

reason_of(constraint) := "quota_exceeded" if constraint.left in {"count", "mkt:volumeBytes"}

reason_of(constraint) := "wrong_party" if constraint.left == "recipient"

reason_of(constraint) := "expired" if {
	constraint.left == "dateTime"
	constraint.operator == "lteq"
}

reason_of(constraint) := "not_started" if {
	constraint.left == "dateTime"
	constraint.operator == "gteq"
}

reason_of(constraint) := "unknown_term" if not constraint.left in object.keys(operators)
