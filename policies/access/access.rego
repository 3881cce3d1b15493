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
	"obligations": obligations,
	"echo": input.digest,
}

default allow := false

allow if {
	terms_known
	terms_signed
	party_fits
	asset_fits
	agreement_final
	parties_active
	listing_stands
	started
	running
	version_listed
	consent_stands
	version_governed
	certificate_valid
	opinion_valid
	purpose_tolerated
	delivery_fits
	action_not_prohibited
	stays_at_home
	count(granting) > 0
}

# Conditions: each is true or undefined.

terms_known if odrl.known(input.uses)

terms_signed if input.agreement.terms_signed == true

party_fits if {
	input.asked.party == input.agreement.buyer
	input.uses.assignee == input.agreement.buyer
	input.uses.assigner == input.agreement.provider
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

agreement_final if {
	input.agreement.state == "finalized"
	input.agreement.provider in input.agreement.signers
	input.agreement.buyer in input.agreement.signers
}

parties_active if input.agreement.parties_active == true

listing_stands if input.agreement.listing_stands == true

started if input.now >= input.agreement.starts_at

running if input.now < input.agreement.ends_at

version_listed if {
	input.version.stage == "listed"
	input.version.sealed == true
}

consent_stands if input.version.consent_stands == true

version_governed if input.version.kind == "governed"

certificate_valid if input.certificate.valid == true

opinion_valid if input.opinion.valid == true

purpose_tolerated if not input.asked.purpose in vocabulary.purposes_denied_always

delivery_fits if input.asked.delivery_mode == input.agreement.delivery_mode

action_not_prohibited if {
	not input.asked.action in prohibited
	not wider_action_prohibited
}

wider_action_prohibited if vocabulary.included_in[input.asked.action] in prohibited

prohibited contains prohibition.action if some prohibition in input.uses.prohibitions

stays_at_home if not "mkt:transferAbroad" in prohibited

stays_at_home if {
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

# Permissions: `relevant` speak about the action, `suited` about the purpose too, `granting` hold altogether.

relevant contains permission if {
	some permission in input.uses.permissions
	constraints.covers(permission.action, input.asked.action)
}

# A permission that names no purpose grants none.
suited contains permission if {
	some permission in relevant
	purposes := [constraint | some constraint in permission.constraints; constraint.left == "purpose"]
	count(purposes) > 0
	every constraint in purposes {
		constraints.agrees(constraint, seen)
	}
}

granting contains permission if {
	some permission in suited
	every constraint in permission.constraints {
		constraints.agrees(constraint, seen)
	}
	every group in permission.groups {
		constraints.holds(group, seen)
	}
}

obligations := [duty | some duty in duties]

duties contains duty if {
	allow
	some permission in granting
	some duty in permission.duties
}

report_missing if {
	input.agreement.state == "suspended"
	input.agreement.held_for == "use_report_missing"
}

invoice_overdue if {
	input.agreement.state == "suspended"
	input.agreement.held_for == "invoice_overdue"
}

# Reasons: why not, for people; a code of contracts/policy/reasons.json.

reasons contains "unknown_term" if not terms_known

reasons contains "terms_not_signed" if not terms_signed

reasons contains "wrong_party" if not party_fits

reasons contains "wrong_asset" if not asset_fits

reasons contains "agreement_suspended" if {
	not agreement_final
	input.agreement.state == "suspended"
	not report_missing
	not invoice_overdue
}

reasons contains "invoice_overdue" if {
	not agreement_final
	invoice_overdue
}

reasons contains "use_report_missing" if {
	not agreement_final
	report_missing
}

reasons contains "agreement_terminated" if {
	not agreement_final
	input.agreement.state == "terminated"
}

# An amendment that both sides signed stands in its place.
reasons contains "agreement_superseded" if {
	not agreement_final
	input.agreement.state == "superseded"
}

reasons contains "agreement_not_final" if {
	not agreement_final
	not input.agreement.state in {"suspended", "terminated", "expired", "superseded"}
}

reasons contains "party_suspended" if not parties_active

reasons contains "listing_forced_off" if not listing_stands

reasons contains "not_started" if not started

reasons contains "expired" if not running

reasons contains "expired" if {
	not agreement_final
	input.agreement.state == "expired"
}

reasons contains "consent_withdrawn" if not consent_stands

# A version with withdrawn consent is suspended for it: that is told by its own name.
reasons contains "version_suspended" if {
	not version_listed
	consent_stands
	input.version.stage == "suspended"
}

reasons contains "version_retired" if {
	not version_listed
	consent_stands
	input.version.stage == "retired"
}

reasons contains "version_not_listed" if {
	not version_listed
	not input.version.stage in {"suspended", "retired"}
}

reasons contains "raw_version" if not version_governed

reasons contains "certificate_suspended" if {
	not certificate_valid
	input.certificate.state == "suspended"
}

reasons contains "certificate_cancelled" if {
	not certificate_valid
	input.certificate.state == "cancelled"
}

reasons contains "certificate_not_valid" if {
	not certificate_valid
	not input.certificate.state in {"suspended", "cancelled"}
}

reasons contains "opinion_not_valid" if not opinion_valid

reasons contains "purpose_denied_always" if not purpose_tolerated

reasons contains "delivery_mode_not_permitted" if not delivery_fits

reasons contains "prohibited_action" if not action_not_prohibited

reasons contains "transfer_abroad" if not stays_at_home

reasons contains "action_not_permitted" if {
	count(relevant) == 0
	action_not_prohibited
}

reasons contains "purpose_not_permitted" if {
	count(relevant) > 0
	count(suited) == 0
	purpose_tolerated
}

reasons contains code if {
	count(granting) == 0
	some permission in suited
	some constraint in permission.constraints
	not constraints.agrees(constraint, seen)
	code := constraints.reason_of(constraint)
}

reasons contains code if {
	count(granting) == 0
	some permission in suited
	some group in permission.groups
	some comparison in constraints.missed(group, seen)
	code := constraints.reason_of(comparison)
}
