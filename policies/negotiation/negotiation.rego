# METADATA
# title: May what a buyer put on the table be offered without a person?
# description: |
#   Decides one round by the rule that the provider set for its listing.  Everything that is known comes in `input`
#   (contracts/policy/negotiation-input.schema.json): nothing reads the clock, the network or chance.
#   `allow` is a conjunction of conditions that must be true; `reasons` are derived apart and never decide.
#   A refusal ends nothing: people answer then.
# custom:
#   law: PIPL art. 24 (a refusal is never left to a machine); Data Security Law art. 33
package negotiation

import rego.v1

# METADATA
# title: The answer
# entrypoint: true
decision := {
	"allow": allow,
	"reasons": sort(reasons),
	"obligations": [],
	"echo": input.digest,
}

default allow := false

allow if {
	asked_by_buyer
	purpose_listed
	kind_listed
	price_reached
	price_per_use_reached
	terms_kept
	price_kind_kept
	early_enough
	buyer_verified
	buyer_active
	nothing_overdue
	genomes_kept_home
}

# Conditions: each is true or undefined.

asked_by_buyer if input.proposal.by == "buyer"

purpose_listed if input.proposal.purpose in input.rule.purposes

kind_listed if input.buyer.kind in input.rule.buyer_kinds

price_reached if input.proposal.price_fen >= input.rule.price_not_below_fen

price_per_use_reached if input.proposal.price_per_use_fen >= input.rule.price_per_use_not_below_fen

terms_kept if input.rule.terms_unchanged == false

terms_kept if {
	is_array(input.proposal.changed)
	not "parameters" in input.proposal.changed
	not "term_days" in input.proposal.changed
}

price_kind_kept if {
	is_array(input.proposal.changed)
	not "price_kind" in input.proposal.changed
}

early_enough if input.proposal.round <= input.rule.rounds_at_most

buyer_verified if input.buyer.verified == true

buyer_active if input.buyer.suspended == false

nothing_overdue if count(input.buyer.overdue) == 0

genomes_kept_home if input.contains_genomic == false

genomes_kept_home if input.buyer.foreign_controlled == false

# Reasons: a code of contracts/policy/negotiation-reasons.json for each condition that is not true.

reasons contains "not_asked_by_buyer" if not asked_by_buyer

reasons contains "purpose_for_people" if not purpose_listed

reasons contains "buyer_kind_for_people" if not kind_listed

reasons contains "price_too_low" if not price_reached

reasons contains "price_per_use_too_low" if not price_per_use_reached

reasons contains "terms_changed" if not terms_kept

reasons contains "price_kind_changed" if not price_kind_kept

reasons contains "too_many_rounds" if not early_enough

reasons contains "party_not_verified" if not buyer_verified

reasons contains "party_suspended" if not buyer_active

reasons contains "proof_overdue" if not nothing_overdue

reasons contains "foreign_controlled_genomic" if not genomes_kept_home
