# METADATA
# title: Is every term of a contract one that we understand?
# description: |
#   Judged apart from whether a constraint holds.  Groups (and, or) stand at most four deep; a language without
#   recursion spells the levels out, so a fifth is unknown.
package lib.odrl

import data.lib.vocabulary
import rego.v1

# METADATA
# title: Every term of the contract is one we understand
known(uses) if {
	uses.unknown == []
	uses.profile == vocabulary.profile
	uses.type == "Agreement"
	every permission in uses.permissions {
		known_permission(permission)
	}
	every prohibition in uses.prohibitions {
		prohibition.action in vocabulary.prohibitions
	}
}

known_permission(permission) if {
	permission.action in vocabulary.actions
	every constraint in permission.constraints {
		known_constraint(constraint)
	}
	every duty in permission.duties {
		known_duty(duty)
	}
}

known_constraint(constraint) if known_comparison(constraint)

known_constraint(constraint) if {
	known_group(constraint)
	every part in constraint.parts {
		known_second(part)
	}
}

known_second(constraint) if known_comparison(constraint)

known_second(constraint) if {
	known_group(constraint)
	every part in constraint.parts {
		known_third(part)
	}
}

known_third(constraint) if known_comparison(constraint)

known_third(constraint) if {
	known_group(constraint)
	every part in constraint.parts {
		known_fourth(part)
	}
}

known_fourth(constraint) if known_comparison(constraint)

known_fourth(constraint) if {
	known_group(constraint)
	every part in constraint.parts {
		known_comparison(part)
	}
}

known_group(constraint) if {
	object.keys(constraint) == {"logic", "parts"}
	constraint.logic in {"and", "or"}
	count(constraint.parts) > 0
}

known_comparison(constraint) if {
	object.keys(constraint) == {"left", "operator", "values", "number"}
	constraint.operator in vocabulary.operators[constraint.left]
	known_right(constraint)
}

known_right(constraint) if {
	constraint.left in vocabulary.numbers
	constraint.values == []
	constraint.number >= 0
}

known_right(constraint) if {
	right_filled(constraint)
	every value in constraint.values {
		value in vocabulary.words[constraint.left]
	}
}

known_right(constraint) if {
	right_filled(constraint)
	every value in constraint.values {
		regex.match(vocabulary.forms[constraint.left], value)
	}
}

right_filled(constraint) if {
	constraint.operator == "eq"
	count(constraint.values) == 1
}

right_filled(constraint) if {
	constraint.operator == "isAnyOf"
	count(constraint.values) > 0
}

known_duty(duty) if {
	duty.action in vocabulary.duties
	limited := [constraint.left | some constraint in duty.constraints]
	limited == vocabulary.duty_operands[duty.action]
	every constraint in duty.constraints {
		constraint.operator in vocabulary.duty_operators[constraint.left]
		count(constraint.values) == 1
		regex.match(`^P[1-9][0-9]{0,3}D$`, constraint.values[0])
	}
}
