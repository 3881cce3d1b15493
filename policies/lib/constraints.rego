# METADATA
# title: Does a constraint hold for the use that is asked for?
# description: |
#   An operand or operator that is not listed here never holds.  A group holds by its parts, at most four groups deep.
package lib.constraints

import data.lib.vocabulary
import rego.v1

seconds_per_day := 86400

# METADATA
# title: An action is covered by itself and by the wider action that includes it
covers(granted, asked) if {
	granted == asked
	granted in vocabulary.actions
}

covers(granted, asked) if vocabulary.included_in[asked] == granted

# METADATA
# title: A constraint, or a group of them, holds
holds(constraint, facts) if agrees(constraint, facts)

holds(constraint, facts) if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		holds_second(part, facts)
	}
}

holds(constraint, facts) if {
	constraint.logic == "or"
	some part in constraint.parts
	holds_second(part, facts)
}

holds_second(constraint, facts) if agrees(constraint, facts)

holds_second(constraint, facts) if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		holds_third(part, facts)
	}
}

holds_second(constraint, facts) if {
	constraint.logic == "or"
	some part in constraint.parts
	holds_third(part, facts)
}

holds_third(constraint, facts) if agrees(constraint, facts)

holds_third(constraint, facts) if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		holds_fourth(part, facts)
	}
}

holds_third(constraint, facts) if {
	constraint.logic == "or"
	some part in constraint.parts
	holds_fourth(part, facts)
}

holds_fourth(constraint, facts) if agrees(constraint, facts)

holds_fourth(constraint, facts) if {
	constraint.logic == "and"
	count(constraint.parts) > 0
	every part in constraint.parts {
		agrees(part, facts)
	}
}

holds_fourth(constraint, facts) if {
	constraint.logic == "or"
	some part in constraint.parts
	agrees(part, facts)
}

# METADATA
# title: One comparison agrees with the facts
agrees(constraint, facts) if {
	constraint.left == "purpose"
	constraint.operator in vocabulary.operators.purpose
	facts.asked.purpose in constraint.values
}

agrees(constraint, facts) if {
	constraint.left == "recipient"
	constraint.operator in vocabulary.operators.recipient
	facts.asked.party in constraint.values
}

agrees(constraint, facts) if {
	constraint.left == "mkt:recipientKind"
	constraint.operator in vocabulary.operators["mkt:recipientKind"]
	facts.agreement.buyer_kind in constraint.values
}

agrees(constraint, facts) if {
	constraint.left == "spatial"
	constraint.operator in vocabulary.operators.spatial
	facts.asked.place in constraint.values
}

agrees(constraint, facts) if {
	constraint.left == "output"
	constraint.operator in vocabulary.operators.output
	facts.asked.output in constraint.values
}

agrees(constraint, facts) if {
	constraint.left == "mkt:environment"
	constraint.operator in vocabulary.operators["mkt:environment"]
	facts.asked.delivery_mode in constraint.values
}

agrees(constraint, facts) if {
	constraint.left == "mkt:ethicsApproval"
	constraint.operator == "eq"
	constraint.values == ["valid"]
	facts.asked.ethics_approval != ""
}

agrees(constraint, facts) if {
	constraint.left == "mkt:minimumGroupSize"
	constraint.operator == "gteq"
	facts.asked.smallest_group >= constraint.number
}

agrees(constraint, facts) if {
	constraint.left == "count"
	constraint.operator == "lteq"
	facts.quota.uses_taken + facts.quota.uses_asked <= constraint.number
}

agrees(constraint, facts) if {
	constraint.left == "mkt:volumeBytes"
	constraint.operator == "lteq"
	facts.quota.bytes_taken + facts.quota.bytes_asked <= constraint.number
}

agrees(constraint, facts) if {
	constraint.left == "dateTime"
	constraint.operator == "lteq"
	facts.now <= constraint.number
}

agrees(constraint, facts) if {
	constraint.left == "dateTime"
	constraint.operator == "gteq"
	facts.now >= constraint.number
}

agrees(constraint, facts) if {
	constraint.left == "elapsedTime"
	constraint.operator == "lteq"
	facts.agreement.final_at > 0
	facts.now - facts.agreement.final_at <= constraint.number * seconds_per_day
}

# METADATA
# title: The comparisons for which a constraint fails, in groups too
missed(constraint, facts) := {part |
	some part in (((first | second) | third) | (fourth | fifth))
	part.left
} if {
	first := {part | some part in [constraint]; not holds(part, facts)}
	second := {part | some whole in first; some part in whole.parts; not holds_second(part, facts)}
	third := {part | some whole in second; some part in whole.parts; not holds_third(part, facts)}
	fourth := {part | some whole in third; some part in whole.parts; not holds_fourth(part, facts)}
	fifth := {part | some whole in fourth; some part in whole.parts; not agrees(part, facts)}
}

# METADATA
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
