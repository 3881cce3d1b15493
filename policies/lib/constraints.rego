# METADATA
# title: Does a constraint hold for the use that is asked for?
# description: |
#   Judged against what the use looks like through each operand (`seen`, made by the policy that asks).  An operand
#   that is not seen, or an operator that it does not know, never holds.  Groups hold by their parts, four deep at most.
#   `terms` is the vocabulary: whoever asks looks it up once.
package lib.constraints

import data.lib.vocabulary
import rego.v1

# METADATA
# scope: document
# title: A permission grants when it is about the action, names a purpose, and holds altogether
grants(permission, action, seen, terms) if {
	covers(permission.action, action, terms)
	limited := [constraint.left | some constraint in permission.constraints]
	"purpose" in limited
	every constraint in permission.constraints {
		agrees(constraint, seen, terms)
	}
	every group in permission.groups {
		holds(group, seen, terms)
	}
}

# METADATA
# scope: document
# title: An action is covered by itself and by the wider action that includes it
covers(granted, asked, terms) if {
	granted == asked
	granted in terms.actions
} else if terms.included_in[asked] == granted

# METADATA
# scope: document
# title: A group of constraints holds
holds(constraint, seen, terms) if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		holds_second(part, seen, terms)
	}
} else if {
	constraint.logic == "or"
	some part in constraint.parts
	holds_second(part, seen, terms)
}

holds_second(constraint, seen, terms) if {
	agrees(constraint, seen, terms)
} else if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		holds_third(part, seen, terms)
	}
} else if {
	constraint.logic == "or"
	some part in constraint.parts
	holds_third(part, seen, terms)
}

holds_third(constraint, seen, terms) if {
	agrees(constraint, seen, terms)
} else if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		holds_fourth(part, seen, terms)
	}
} else if {
	constraint.logic == "or"
	some part in constraint.parts
	holds_fourth(part, seen, terms)
}

holds_fourth(constraint, seen, terms) if {
	agrees(constraint, seen, terms)
} else if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		agrees(part, seen, terms)
	}
} else if {
	constraint.logic == "or"
	some part in constraint.parts
	agrees(part, seen, terms)
}

# METADATA
# scope: document
# title: One comparison agrees with what is seen
agrees(constraint, seen, terms) if {
	seen[constraint.left] in constraint.values
	constraint.operator in terms.operators[constraint.left]
} else if {
	constraint.operator == "lteq"
	"lteq" in terms.operators[constraint.left]
	seen[constraint.left] <= constraint.number
} else if {
	constraint.operator == "gteq"
	"gteq" in terms.operators[constraint.left]
	seen[constraint.left] >= constraint.number
}

# METADATA
# scope: document
# title: The comparisons for which a constraint fails, in groups too
missed(constraint, seen, terms) := {part |
	some part in (((first | second) | third) | (fourth | fifth))
	part.left
} if {
	first := {constraint | not holds(constraint, seen, terms)}
	second := {part | some whole in first; some part in whole.parts; not holds_second(part, seen, terms)}
	third := {part | some whole in second; some part in whole.parts; not holds_third(part, seen, terms)}
	fourth := {part | some whole in third; some part in whole.parts; not holds_fourth(part, seen, terms)}
	fifth := {part | some whole in fourth; some part in whole.parts; not agrees(part, seen, terms)}
}

# METADATA
# scope: document
# title: The reason code of a comparison that does not agree
reason_of(constraint) := "purpose_not_permitted" if constraint.left == "purpose"

reason_of(constraint) := "wrong_party" if constraint.left == "recipient"

reason_of(constraint) := "recipient_kind_not_permitted" if constraint.left == "mkt:recipientKind"

reason_of(constraint) := "place_not_permitted" if constraint.left == "spatial"

reason_of(constraint) := "output_not_permitted" if constraint.left == "output"

reason_of(constraint) := "environment_not_permitted" if constraint.left == "mkt:environment"

reason_of(constraint) := "ethics_approval_missing" if constraint.left == "mkt:ethicsApproval"

reason_of(constraint) := "group_too_small" if constraint.left == "mkt:minimumGroupSize"

reason_of(constraint) := "quota_exceeded" if constraint.left in {"count", "mkt:volumeBytes"}

reason_of(constraint) := "expired" if constraint.left == "elapsedTime"

reason_of(constraint) := "expired" if {
	constraint.left == "dateTime"
	constraint.operator == "lteq"
}

reason_of(constraint) := "not_started" if {
	constraint.left == "dateTime"
	constraint.operator == "gteq"
}

reason_of(constraint) := "unknown_term" if not constraint.left in object.keys(vocabulary.operators)
