# METADATA
# title: May what a provider offers be accepted, or countered, for the buyer without a person?
# description: |
#   Decides one move by the rule that the buyer signed for a listing.  Everything that is known comes in `input`
#   (contracts/policy/acceptance-input.schema.json): nothing reads the clock, the network or chance.
#   `allow` is a conjunction of conditions that must be true; `reasons` are derived apart and never decide.
#   A refusal ends nothing: people answer then, and nothing is agreed without the buyer's own signature.
# custom:
#   law: PRC Civil Code art. 483 and 491 (acceptance); PIPL art. 24
package acceptance

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
	move_allowed
	lies_with_buyer
	purpose_listed
	price_kept
	price_per_use_kept
	terms_kept
	early_enough
	provider_active
	buyer_verified
	buyer_active
	nothing_overdue
	genomes_kept_home
}

# Conditions: each is true or undefined.

move_allowed if input.move == "accept"

move_allowed if {
	input.move == "counter"
	input.rule.counters == true
}

lies_with_buyer if input.proposal.offered == true

purpose_listed if input.proposal.purpose in input.rule.purposes

price_kept if input.proposal.price_fen <= input.rule.price_at_most_fen

price_per_use_kept if input.proposal.price_per_use_fen <= input.rule.price_per_use_at_most_fen

terms_kept if count(input.proposal.changed) == 0

early_enough if input.proposal.round <= input.rule.rounds_at_most

provider_active if {
	input.provider.verified == true
	input.provider.suspended == false
}

buyer_verified if input.buyer.verified == true

buyer_active if input.buyer.suspended == false

nothing_overdue if count(input.buyer.overdue) == 0

genomes_kept_home if input.contains_genomic == false

genomes_kept_home if input.buyer.foreign_controlled == false

# Reasons: a code of contracts/policy/acceptance-reasons.json for each condition that is not true.

reasons contains "move_for_people" if not move_allowed

reasons contains "not_offered" if not lies_with_buyer

reasons contains "purpose_for_people" if not purpose_listed

reasons contains "price_too_high" if not price_kept

reasons contains "price_per_use_too_high" if not price_per_use_kept

reasons contains "terms_changed" if not terms_kept

reasons contains "too_many_rounds" if not early_enough

reasons contains "provider_not_active" if not provider_active

reasons contains "party_not_verified" if not buyer_verified

reasons contains "party_suspended" if not buyer_active

reasons contains "proof_overdue" if not nothing_overdue

reasons contains "foreign_controlled_genomic" if not genomes_kept_home
