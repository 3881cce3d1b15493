# METADATA
# title: Is every term of a contract one that we understand?
# description: |
#   Judged apart from whether a constraint holds.  The words are vocabulary/data.json, which repeats contracts/odrl/; a
#   test compares them.  Groups (and, or) stand at most four deep; a language without recursion spells the levels out,
#   so a fifth is unknown.
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
	prohibitions := vocabulary.prohibitions
	every prohibition in uses.prohibitions {
		prohibition.action in prohibitions
	}
}

known_permission(permission) if {
	permission.action in vocabulary.actions
	every constraint in permission.constraints {
		known_comparison(constraint)
	}
	every group in permission.groups {
		known_first(group)
	}
	every duty in permission.duties {
		known_duty(duty)
	}
}

known_first(constraint) if {
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
	constraint.logic in {"and", "or"}
	not constraint.left
	count(constraint.parts) > 0
}

known_comparison(constraint) if {
	constraint.left in vocabulary.numbers
	constraint.operator in vocabulary.operators[constraint.left]
	constraint.values == []
	constraint.number >= 0
}

known_comparison(constraint) if {
	constraint.operator in vocabulary.operators[constraint.left]
	count(constraint.values) > 0
	count(constraint.values) <= vocabulary.most_values[constraint.operator]
	words := vocabulary.words[constraint.left]
	every value in constraint.values {
		value in words
	}
}

known_comparison(constraint) if {
	constraint.operator in vocabulary.operators[constraint.left]
	count(constraint.values) > 0
	count(constraint.values) <= vocabulary.most_values[constraint.operator]
	form := vocabulary.forms[constraint.left]
	every value in constraint.values {
		regex.match(form, value)
	}
}

# A duty names each of its operands once and in order, or, where it has a choice, any of them.
known_duty(duty) if {
	limited := [constraint.left | some constraint in duty.constraints]
	limited == vocabulary.duties[duty.action]
	every constraint in duty.constraints {
		known_limit(constraint)
	}
}

known_duty(duty) if {
	count(duty.constraints) > 0
	choices := vocabulary.duty_choices[duty.action]
	every constraint in duty.constraints {
		constraint.left in choices
		known_limit(constraint)
	}
}

known_limit(constraint) if {
	constraint.left in vocabulary.duty_numbers
	constraint.operator in vocabulary.duty_operators[constraint.left]
	constraint.values == []
	constraint.number >= 1
}

known_limit(constraint) if {
	known_list(constraint)
	words := vocabulary.duty_words[constraint.left]
	every value in constraint.values {
		value in words
	}
}

known_limit(constraint) if {
	known_list(constraint)
	form := vocabulary.duty_forms[constraint.left]
	every value in constraint.values {
		regex.match(form, value)
	}
}

known_list(constraint) if {
	constraint.operator in vocabulary.duty_operators[constraint.left]
	count(constraint.values) > 0
	count(constraint.values) <= object.get(vocabulary.most_values, constraint.operator, 1)
	constraint.number == 0
}
