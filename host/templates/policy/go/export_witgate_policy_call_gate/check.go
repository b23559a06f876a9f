// Package export_witgate_policy_call_gate is the hook `call-gate`.
package export_witgate_policy_call_gate

import (
	"wit_component/rule"
	. "wit_component/witgate_policy_call_gate"
	"wit_component/witgate_policy_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

// Check decides whether a call may run.
func Check(_ Context, call Call) Verdict {
	if call.Item.Kind.Tag() != witgate_policy_types.ItemKind_Tool || !rule.Denies(call.Item.Name) {
		return MakeVerdictAllow()
	}
	return MakeVerdictDeny(Denial{
		Code:   "word_denied",
		Reason: "The tool's name has a word that the operator denies",
		Remedy: Some("Ask the operator, or use another tool"),
	})
}
