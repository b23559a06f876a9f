// Package export_witgate_policy_call_gate judges calls: deleting needs a confirmation.
package export_witgate_policy_call_gate

import (
	"encoding/json"
	"strings"

	"wit_component/ascii"
	. "wit_component/witgate_policy_call_gate"
	"wit_component/witgate_policy_types"

	"go.bytecodealliance.org/pkg/wit/types"
)

// Check lets a tool that deletes run only if the call's arguments say so.
func Check(_ Context, call Call) Verdict {
	deletes := call.Item.Kind.Tag() == witgate_policy_types.ItemKind_Tool &&
		strings.HasPrefix(ascii.Lower(call.Item.Name), "delete_")
	if !deletes || confirmed(call.Arguments.SomeOr("null")) {
		return MakeVerdictAllow()
	}
	return MakeVerdictDeny(Denial{
		Code:   "confirm_required",
		Reason: "Deleting needs the argument `confirm` to be true",
		Remedy: wit_types.Some("Ask the person, then call again with `confirm` set to true"),
	})
}

// confirmed reads a map, not a struct: encoding/json lets `Confirm` pass for a field `confirm`.
func confirmed(arguments string) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal([]byte(arguments), &members) == nil && string(members["confirm"]) == "true"
}
