# METADATA
# title: The words of the closed ODRL profile
# description: |
#   Repeats contracts/odrl/profile.json and contracts/odrl/purposes.json; a test compares them.  Whatever is not named
#   here is unknown, and unknown denies.
package lib.vocabulary

import rego.v1

profile := "https://w3id.org/medical-data-market/profile/v1/"

actions := {"use", "read", "compute", "analyse", "derive", "train"}

# action -> the wider action that includes it
included_in := {"read": "use", "compute": "use", "analyse": "use", "derive": "use", "train": "use"}

operators := {
	"purpose": {"eq", "isAnyOf"},
	"recipient": {"eq", "isAnyOf"},
	"mkt:recipientKind": {"eq", "isAnyOf"},
	"dateTime": {"lteq", "gteq"},
	"elapsedTime": {"lteq"},
	"count": {"lteq"},
	"mkt:volumeBytes": {"lteq"},
	"spatial": {"eq", "isAnyOf"},
	"output": {"eq", "isAnyOf"},
	"mkt:minimumGroupSize": {"gteq"},
	"mkt:environment": {"eq", "isAnyOf"},
	"mkt:ethicsApproval": {"eq"},
}

# The operands whose right side is a number (dateTime: Unix seconds, elapsedTime: days).
numbers := {"dateTime", "elapsedTime", "count", "mkt:volumeBytes", "mkt:minimumGroupSize"}

# The operands whose right side is of a closed list.
words := {
	"purpose": purposes,
	"mkt:recipientKind": recipient_kinds,
	"output": {"aggregate", "model", "records"},
	"mkt:environment": {"download", "secure_environment"},
	"mkt:ethicsApproval": {"valid"},
}

# The operands whose right side is free, by its form.
forms := {
	"recipient": `^[A-Za-z0-9][A-Za-z0-9_.:-]{2,127}$`,
	"spatial": `^[A-Z]{2}$`,
}

recipient_kinds := {
	"hospital",
	"research_institute",
	"university",
	"pharma",
	"insurer",
	"ai_company",
	"device_maker",
	"public_body",
}

# duty -> its limits, all of them and no others
duty_operands := {
	"mkt:pseudonymisePerAgreement": [],
	"delete": ["elapsedTime"],
	"mkt:reportUse": ["elapsedTime"],
	"attribute": [],
	"compensate": [],
	"mkt:watermark": [],
}

duties := object.keys(duty_operands)

duty_operators := {"elapsedTime": {"lteq"}}

prohibitions := {
	"mkt:reidentify",
	"mkt:link",
	"distribute",
	"mkt:individualDecision",
	"mkt:transferAbroad",
	"mkt:marketing",
}

purposes := {
	"scientific_research",
	"product_development",
	"model_training",
	"model_validation",
	"statistics",
	"education",
	"public_health",
	"actuarial_pricing",
	"quality_improvement",
}

purposes_denied_always := {"marketing", "individual_insurance_decision", "reidentification"}
