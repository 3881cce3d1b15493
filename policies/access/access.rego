# METADATA
# title: May this use of a version happen now?
# description: |
#   Decides one use under a signed agreement.  Everything that is known comes in `input`
#   (contracts/policy/access-input.schema.json): nothing reads the clock, the network or chance.
#   `allow` is a conjunction of conditions that must be true; `reasons` are derived apart and never decide.
# custom:
#   law: Data Security Law art. 27 and 33; PIPL art. 23; Measures for agreement-bound use, gate H13 and H12
package access

import data.lib.constraints
import data.lib.odrl
import data.lib.vocabulary
import rego.v1

# METADATA
# title: The answer
# entrypoint: true
decision := {
	"allow": allow,
	"reasons": sort(reasons),
	"obligations": [duty | some duty in duties],
	"echo": input.digest,
}

default allow := false

allow if {
	terms_known
	use_fits
	asset_fits
	agreement_stands
	version_stands
	action_not_prohibited
	stays_at_home
	count(granting) > 0
}

# Conditions: each is true or undefined.  What stands together is asked in one rule, because each rule costs an engine
# more than what it asks; which part of it does not hold is looked for below, and only then.

terms_known if odrl.known(input.uses, vocabulary)

use_fits if {
	input.asked.party == input.agreement.buyer
	input.uses.assignee == input.agreement.buyer
	input.uses.assigner == input.agreement.provider
	input.asked.delivery_mode == input.agreement.delivery_mode
	not input.asked.purpose in vocabulary.purposes_denied_always
}

asset_fits if {
	input.asked.asset == input.agreement.asset
	input.version.asset == input.agreement.asset
	input.version.id == input.agreement.version
	targets := {input.agreement.asset, input.agreement.version} # named first: see "membership of a built literal"
	input.uses.target in targets
	every permission in input.uses.permissions {
		permission.target in targets
	}
}

agreement_stands if {
	input.agreement.terms_signed == true
	input.agreement.state == "finalized"
	input.agreement.provider in input.agreement.signers
	input.agreement.buyer in input.agreement.signers
	input.agreement.parties_active == true
	input.agreement.listing_stands == true
	input.now >= input.agreement.starts_at
	input.now < input.agreement.ends_at
}

version_stands if {
	input.version.stage == "listed"
	input.version.sealed == true
	input.version.consent_stands == true
	input.version.kind == "governed"
	input.certificate.valid == true
	input.opinion.valid == true
}

action_not_prohibited if {
	not input.asked.action in prohibited
	not wider_action_prohibited
}

wider_action_prohibited if vocabulary.included_in[input.asked.action] in prohibited

prohibited contains prohibition.action if some prohibition in input.uses.prohibitions

stays_at_home if {
	not "mkt:transferAbroad" in prohibited
} else if {
	input.asked.place == input.agreement.provider_place
	input.agreement.buyer_place == input.agreement.provider_place
}

# What the use looks like through each operand.
seen := {
	"purpose": input.asked.purpose,
	"recipient": input.asked.party,
	"mkt:recipientKind": input.agreement.buyer_kind,
	"spatial": input.asked.place,
	"output": input.asked.output,
	"mkt:environment": input.asked.delivery_mode,
	"mkt:minimumGroupSize": input.asked.smallest_group,
	"mkt:ethicsApproval": approval,
	"count": input.quota.uses_taken + input.quota.uses_asked,
	"mkt:volumeBytes": input.quota.bytes_taken + input.quota.bytes_asked,
	"dateTime": input.now,
	"elapsedTime": elapsed,
}

default approval := "none"

approval := "valid" if input.asked.ethics_approval != ""

# Without a final moment everything is over: the largest integer that the facts can hold.
default elapsed := 9007199254740991

elapsed := input.now - input.agreement.final_at if input.agreement.final_at > 0

granting contains permission if {
	some permission in input.uses.permissions
	constraints.grants(permission, input.asked.action, seen, vocabulary)
}

duties contains duty if {
	allow
	some permission in granting
	some duty in permission.duties
}

# Reasons: why not, for people; a code of contracts/policy/reasons.json.

reasons contains "unknown_term" if not terms_known

reasons contains code if {
	not use_fits
	some code in fitting_reasons
}

reasons contains "wrong_asset" if not asset_fits

reasons contains code if {
	not agreement_stands
	some code in agreement_reasons
}

reasons contains code if {
	not version_stands
	some code in version_reasons
}

reasons contains "prohibited_action" if not action_not_prohibited

reasons contains "transfer_abroad" if not stays_at_home

reasons contains code if {
	count(granting) == 0
	some code in permission_reasons
}

fitting_reasons contains "wrong_party" if not party_fits

fitting_reasons contains "delivery_mode_not_permitted" if not delivery_fits

fitting_reasons contains "purpose_denied_always" if not purpose_tolerated

party_fits if {
	input.asked.party == input.agreement.buyer
	input.uses.assignee == input.agreement.buyer
	input.uses.assigner == input.agreement.provider
}

delivery_fits if input.asked.delivery_mode == input.agreement.delivery_mode

purpose_tolerated if not input.asked.purpose in vocabulary.purposes_denied_always

agreement_reasons contains "terms_not_signed" if not input.agreement.terms_signed == true

agreement_reasons contains "party_suspended" if not input.agreement.parties_active == true

agreement_reasons contains "listing_forced_off" if not input.agreement.listing_stands == true

agreement_reasons contains "not_started" if not started

agreement_reasons contains "expired" if not running

agreement_reasons contains "expired" if input.agreement.state == "expired"

agreement_reasons contains "agreement_suspended" if {
	input.agreement.state == "suspended"
	not report_missing
	not invoice_overdue
}

agreement_reasons contains "invoice_overdue" if invoice_overdue

agreement_reasons contains "use_report_missing" if report_missing

agreement_reasons contains "agreement_terminated" if input.agreement.state == "terminated"

# An amendment that both sides signed stands in its place.
agreement_reasons contains "agreement_superseded" if input.agreement.state == "superseded"

agreement_reasons contains "agreement_not_final" if {
	not signed_by_both
	not input.agreement.state in {"suspended", "terminated", "expired", "superseded"}
}

started if input.now >= input.agreement.starts_at

running if input.now < input.agreement.ends_at

signed_by_both if {
	input.agreement.state == "finalized"
	input.agreement.provider in input.agreement.signers
	input.agreement.buyer in input.agreement.signers
}

report_missing if {
	input.agreement.state == "suspended"
	input.agreement.held_for == "use_report_missing"
}

invoice_overdue if {
	input.agreement.state == "suspended"
	input.agreement.held_for == "invoice_overdue"
}

version_reasons contains "consent_withdrawn" if not input.version.consent_stands == true

# A version with withdrawn consent is suspended for it: that is told by its own name.
version_reasons contains "version_suspended" if {
	input.version.consent_stands == true
	input.version.stage == "suspended"
}

version_reasons contains "version_retired" if {
	input.version.consent_stands == true
	input.version.stage == "retired"
}

version_reasons contains "version_not_listed" if {
	not version_listed
	not input.version.stage in {"suspended", "retired"}
}

version_reasons contains "raw_version" if not input.version.kind == "governed"

version_reasons contains "certificate_suspended" if {
	not input.certificate.valid == true
	input.certificate.state == "suspended"
}

version_reasons contains "certificate_cancelled" if {
	not input.certificate.valid == true
	input.certificate.state == "cancelled"
}

version_reasons contains "certificate_not_valid" if {
	not input.certificate.valid == true
	not input.certificate.state in {"suspended", "cancelled"}
}

version_reasons contains "opinion_not_valid" if not input.opinion.valid == true

version_listed if {
	input.version.stage == "listed"
	input.version.sealed == true
}

# Permissions: `relevant` speak about the action, `suited` about the purpose too.

permission_reasons contains "action_not_permitted" if {
	count(relevant) == 0
	action_not_prohibited
}

permission_reasons contains "purpose_not_permitted" if {
	count(relevant) > 0
	count(suited) == 0
	purpose_tolerated
}

permission_reasons contains code if {
	some permission in suited
	some constraint in permission.constraints
	not constraints.agrees(constraint, seen, vocabulary)
	code := constraints.reason_of(constraint)
}

permission_reasons contains code if {
	some permission in suited
	some group in permission.groups
	some comparison in constraints.missed(group, seen, vocabulary)
	code := constraints.reason_of(comparison)
}

relevant contains permission if {
	some permission in input.uses.permissions
	constraints.covers(permission.action, input.asked.action, vocabulary)
}

# A permission that names no purpose grants none.
suited contains permission if {
	some permission in relevant
	purposes := [constraint | some constraint in permission.constraints; constraint.left == "purpose"]
	count(purposes) > 0
	every constraint in purposes {
		constraints.agrees(constraint, seen, vocabulary)
	}
}
