# METADATA
# title: Does a constraint hold for the use that is asked for?
# description: |
#   Judged against what the use looks like through each operand (`seen`, made by the policy that asks).  An operand
#   that is not seen, or an operator that it does not know, never holds.  Groups hold by their parts, four deep at most.
package lib.constraints

import data.lib.vocabulary
import rego.v1

# METADATA
# scope: document
# title: An action is covered by itself and by the wider action that includes it
covers(granted, asked) if {
	granted == asked
	granted in vocabulary.actions
}

covers(granted, asked) if vocabulary.included_in[asked] == granted

# METADATA
# scope: document
# title: A group of constraints holds
holds(constraint, seen) if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		holds_second(part, seen)
	}
}

holds(constraint, seen) if {
	constraint.logic == "or"
	some part in constraint.parts
	holds_second(part, seen)
}

holds_second(constraint, seen) if agrees(constraint, seen)

holds_second(constraint, seen) if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		holds_third(part, seen)
	}
}

holds_second(constraint, seen) if {
	constraint.logic == "or"
	some part in constraint.parts
	holds_third(part, seen)
}

holds_third(constraint, seen) if agrees(constraint, seen)

holds_third(constraint, seen) if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		holds_fourth(part, seen)
	}
}

holds_third(constraint, seen) if {
	constraint.logic == "or"
	some part in constraint.parts
	holds_fourth(part, seen)
}

holds_fourth(constraint, seen) if agrees(constraint, seen)

holds_fourth(constraint, seen) if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		agrees(part, seen)
	}
}

holds_fourth(constraint, seen) if {
	constraint.logic == "or"
	some part in constraint.parts
	agrees(part, seen)
}

# METADATA
# scope: document
# title: One comparison agrees with what is seen
agrees(constraint, seen) if {
	seen[constraint.left] in constraint.values
	constraint.operator in vocabulary.operators[constraint.left]
}

agrees(constraint, seen) if {
	constraint.operator == "lteq"
	"lteq" in vocabulary.operators[constraint.left]
	seen[constraint.left] <= constraint.number
}

agrees(constraint, seen) if {
	constraint.operator == "gteq"
	"gteq" in vocabulary.operators[constraint.left]
	seen[constraint.left] >= constraint.number
}

# METADATA
# scope: document
# title: The comparisons for which a constraint fails, in groups too
missed(constraint, seen) := {part |
	some part in (((first | second) | third) | (fourth | fifth))
	part.left
} if {
	first := {constraint | not holds(constraint, seen)}
	second := {part | some whole in first; some part in whole.parts; not holds_second(part, seen)}
	third := {part | some whole in second; some part in whole.parts; not holds_third(part, seen)}
	fourth := {part | some whole in third; some part in whole.parts; not holds_fourth(part, seen)}
	fifth := {part | some whole in fourth; some part in whole.parts; not agrees(part, seen)}
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
