// Package export_witgate_policy_list_filter hides tools whose description has the word.
package export_witgate_policy_list_filter

import (
	"encoding/json"
	"strings"

	"wit_component/ascii"
	settings "wit_component/export_witgate_policy_settings"
	"wit_component/witgate_policy_catalog"
	. "wit_component/witgate_policy_list_filter"
	"wit_component/witgate_policy_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

// Filter answers for each item, in their order.
func Filter(_ Context, items []Item) []Option[Denial] {
	answers := make([]Option[Denial], len(items))
	if settings.Hide == "" {
		return answers
	}
	for i, item := range items {
		if item.Kind.Tag() == witgate_policy_types.ItemKind_Tool {
			answers[i] = hidden(item.Digest)
		}
	}
	return answers
}

// hidden tells why a tool is hidden, if it is.
func hidden(digest string) Option[Denial] {
	var definition map[string]json.RawMessage
	text := witgate_policy_catalog.Definition(digest).SomeOr("")
	if json.Unmarshal([]byte(text), &definition) != nil {
		return Some(Denial{Code: "no_definition", Reason: "Its definition cannot be read"})
	}
	var description string
	if json.Unmarshal(definition["description"], &description) != nil {
		return None[Denial]()
	}
	if !strings.Contains(ascii.Lower(description), settings.Hide) {
		return None[Denial]()
	}
	return Some(Denial{Code: "hidden_word", Reason: "Its description has a word that the operator hides"})
}
