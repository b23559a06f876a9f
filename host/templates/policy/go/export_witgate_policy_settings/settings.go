// Package export_witgate_policy_settings is the hook `settings`.
package export_witgate_policy_settings

import (
	"wit_component/rule"

	. "go.bytecodealliance.org/pkg/wit/types"
)

// Configure is called first, once in every instance.
func Configure(settings string) Result[Unit, string] {
	if err := rule.Configure(settings); err != nil {
		return Err[Unit](err.Error())
	}
	return Ok[Unit, string](Unit{})
}
