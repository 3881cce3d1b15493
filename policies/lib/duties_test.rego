package lib.duties_test

import data.access_test
import data.lib.odrl
import data.lib.vocabulary
import rego.v1

listed(left, values) := {"left": left, "operator": "isAnyOf", "values": values, "number": 0}

single(left, value) := {"left": left, "operator": "eq", "values": [value], "number": 0}

numbered(left, operator, number) := {"left": left, "operator": operator, "values": [], "number": number}

duty(action, constraints) := {"action": action, "constraints": constraints}

with_duty(value) := access_test.answer([{"op": "add", "path": "/uses/permissions/0/duties/-", "value": value}])

facts := listed("mkt:quasiIdentifier", ["patient_sex", "age_band"])

smallest := numbered("mkt:minimumGroupSize", "gteq", 5)

known := [
	duty("mkt:watermark", []),
	duty("mkt:onlyAttributes", [listed("mkt:attribute", ["Modality", "dBdt", "SliceThickness"])]),
	duty("mkt:onlyRecords", [single("mkt:modality", "CT")]),
	duty("mkt:onlyRecords", [
		listed("mkt:bodyPart", ["CHEST", "HEART"]),
		listed("mkt:patientSex", ["F"]),
		listed("mkt:ageBand", ["40-59", "90+"]),
		numbered("mkt:studyYear", "gteq", 2019),
		numbered("mkt:studyYear", "lteq", 2024),
		numbered("mkt:sliceThicknessMicrometres", "lteq", 1500),
	]),
	duty("mkt:withholdSmallGroups", [facts, smallest]),
]

test_allowed_with_each_duty_on_what_leaves_and_the_duty_is_told if {
	every value in known {
		decision := with_duty(value)
		decision.allow
		value in decision.obligations
	}
}

unknown := [
	duty("mkt:watermark", [facts]),
	duty("mkt:onlyAttributes", []),
	duty("mkt:onlyAttributes", [listed("mkt:attribute", [])]),
	duty("mkt:onlyAttributes", [listed("mkt:attribute", ["0010,0010"])]),
	duty("mkt:onlyAttributes", [single("mkt:attribute", "Modality")]),
	duty("mkt:onlyRecords", []),
	duty("mkt:onlyRecords", [facts]),
	duty("mkt:onlyRecords", [single("mkt:modality", "ct")]),
	duty("mkt:onlyRecords", [{"left": "mkt:modality", "operator": "eq", "values": ["CT", "MR"], "number": 0}]),
	duty("mkt:onlyRecords", [listed("mkt:patientSex", ["X"])]),
	duty("mkt:onlyRecords", [numbered("mkt:studyYear", "eq", 2019)]),
	duty("mkt:onlyRecords", [numbered("mkt:studyYear", "gteq", 0)]),
	duty("mkt:onlyRecords", [object.union(single("mkt:modality", "CT"), {"number": 1})]),
	duty("mkt:withholdSmallGroups", [smallest]),
	duty("mkt:withholdSmallGroups", [smallest, facts]),
	duty("mkt:withholdSmallGroups", [facts, smallest, smallest]),
	duty("mkt:withholdSmallGroups", [listed("mkt:quasiIdentifier", ["name"]), smallest]),
	duty("mkt:withholdSmallGroups", [facts, object.union(smallest, {"values": ["5"]})]),
	duty("mkt:removeNames", []),
]

test_refused_with_a_duty_that_is_not_known if {
	every value in unknown {
		decision := with_duty(value)
		not decision.allow
		"unknown_term" in decision.reasons
		not odrl.known_duty(value, vocabulary)
	}
}

# A duty of the buyer has its days as text.

test_days_of_a_duty if {
	days := {"left": "elapsedTime", "operator": "lteq", "values": ["P30D"], "number": 0}
	odrl.known_duty(duty("delete", [days]), vocabulary)
	not odrl.known_duty(duty("delete", [object.union(days, {"values": ["P30D", "P60D"]})]), vocabulary)
	not odrl.known_duty(duty("delete", [object.union(days, {"values": ["30"]})]), vocabulary)
	not odrl.known_duty(duty("delete", [object.union(days, {"operator": "gteq"})]), vocabulary)
}
