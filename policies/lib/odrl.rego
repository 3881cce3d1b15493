# METADATA
# title: Is every term of a contract one that we understand?
# description: |
#   Judged apart from whether a constraint holds.  The words are vocabulary/data.json, which repeats contracts/odrl/; a
#   test compares them.  Groups (and, or) stand at most four deep; a language without recursion spells the levels out,
#   so a fifth is unknown.  `terms` is the vocabulary: whoever asks looks it up once.
package lib.odrl

import rego.v1

# METADATA
# title: Every term of the contract is one we understand
known(uses, terms) if {
	uses.unknown == []
	uses.profile == terms.profile
	uses.type == "Agreement"
	every permission in uses.permissions {
		permission.action in terms.actions
		every constraint in permission.constraints {
			known_comparison(constraint, terms)
		}
		every group in permission.groups {
			known_first(group, terms)
		}
		every duty in permission.duties {
			known_duty(duty, terms)
		}
	}
	every prohibition in uses.prohibitions {
		prohibition.action in terms.prohibitions
	}
}

known_first(constraint, terms) if {
	known_group(constraint)
	every part in constraint.parts {
		known_second(part, terms)
	}
}

known_second(constraint, terms) if {
	known_comparison(constraint, terms)
} else if {
	known_group(constraint)
	every part in constraint.parts {
		known_third(part, terms)
	}
}

known_third(constraint, terms) if {
	known_comparison(constraint, terms)
} else if {
	known_group(constraint)
	every part in constraint.parts {
		known_fourth(part, terms)
	}
}

known_fourth(constraint, terms) if {
	known_comparison(constraint, terms)
} else if {
	known_group(constraint)
	every part in constraint.parts {
		known_comparison(part, terms)
	}
}

known_group(constraint) if {
	constraint.logic in {"and", "or"}
	not constraint.left
	count(constraint.parts) > 0
}

known_comparison(constraint, terms) if {
	constraint.left in terms.numbers
	constraint.operator in terms.operators[constraint.left]
	constraint.values == []
	constraint.number >= 0
} else if {
	constraint.operator in terms.operators[constraint.left]
	number := count(constraint.values)
	number > 0
	number <= terms.most_values[constraint.operator]
	words := terms.words[constraint.left]
	every value in constraint.values {
		value in words
	}
} else if {
	constraint.operator in terms.operators[constraint.left]
	number := count(constraint.values)
	number > 0
	number <= terms.most_values[constraint.operator]
	form := terms.forms[constraint.left]
	every value in constraint.values {
		regex.match(form, value)
	}
}

# A duty names each of its operands once and in order, or, where it has a choice, any of them.
known_duty(duty, terms) if {
	limited := [constraint.left | some constraint in duty.constraints]
	limited == terms.duties[duty.action]
	every constraint in duty.constraints {
		known_limit(constraint, terms)
	}
} else if {
	count(duty.constraints) > 0
	choices := terms.duty_choices[duty.action]
	every constraint in duty.constraints {
		constraint.left in choices
		known_limit(constraint, terms)
	}
}

known_limit(constraint, terms) if {
	constraint.left in terms.duty_numbers
	constraint.operator in terms.duty_operators[constraint.left]
	constraint.values == []
	constraint.number >= 1
} else if {
	known_list(constraint, terms)
	words := terms.duty_words[constraint.left]
	every value in constraint.values {
		value in words
	}
} else if {
	known_list(constraint, terms)
	form := terms.duty_forms[constraint.left]
	every value in constraint.values {
		regex.match(form, value)
	}
}

known_list(constraint, terms) if {
	constraint.operator in terms.duty_operators[constraint.left]
	number := count(constraint.values)
	number > 0
	number <= object.get(terms.most_values, constraint.operator, 1)
	constraint.number == 0
}
