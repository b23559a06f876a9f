// Package export_witgate_policy_settings takes the settings.
package export_witgate_policy_settings

import (
	"encoding/json"
	"fmt"

	"wit_component/ascii"

	. "go.bytecodealliance.org/pkg/wit/types"
)

// Hide is the word that hides a tool whose description has it, in lower case; empty, it hides none.
var Hide string

// Configure is called first, once in every instance. A map, not a struct: encoding/json lets `Hide` pass for a field `hide`.
func Configure(text string) Result[Unit, string] {
	var settings map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		return Err[Unit](err.Error())
	}
	for key, value := range settings {
		if key != "hide" {
			return Err[Unit](fmt.Sprintf("the only key is `hide`, not %q", key))
		}
		if json.Unmarshal(value, &Hide) != nil || Hide == "" {
			return Err[Unit]("`hide` must be a word, such as \"internal\"; leave it out to hide nothing")
		}
	}
	Hide = ascii.Lower(Hide)
	return Ok[Unit, string](Unit{})
}
