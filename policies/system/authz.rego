# METADATA
# title: Who may ask the OPA server what
# description: >-
#   The server decides and reports its health; nobody changes policies or data over the network
#   (`opa run --authorization=basic`).
package system.authz

import rego.v1

default allow := false

# A decision: POST /v1/data/<package>/decision
allow if {
	input.method == "POST"
	input.path[0] == "v1"
	input.path[1] == "data"
	input.path[count(input.path) - 1] == "decision"
}

# Health
allow if {
	input.method == "GET"
	input.path == ["health"]
}
