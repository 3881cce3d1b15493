package system.authz_test

import data.system.authz
import rego.v1

asked(method, path) := {"method": method, "path": path}

test_a_decision_may_be_asked_for if {
	authz.allow with input as asked("POST", ["v1", "data", "access", "decision"])
}

test_health_may_be_asked_for if {
	authz.allow with input as asked("GET", ["health"])
}

test_nothing_may_be_changed_and_no_policy_read if {
	every one in [
		asked("PUT", ["v1", "policies", "access"]),
		asked("DELETE", ["v1", "policies", "access"]),
		asked("GET", ["v1", "policies"]),
		asked("PATCH", ["v1", "data", "access", "decision"]),
		asked("POST", ["v1", "data", "access"]),
		asked("POST", ["v1", "query"]),
		asked("POST", ["v0", "data", "access", "decision"]),
		asked("POST", []),
	] {
		not authz.allow with input as one
	}
}
