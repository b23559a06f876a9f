// Package rule is the policy `{{name}}`: no tool may be called whose name has a word that the operator denies.
//
// It knows no WIT and is tested on the machine that builds; the export_… packages bring it to the component's hooks.
package rule

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Every message meets a fresh instance, which is configured before any other hook: nothing else that is kept in memory
// outlives one.
var word string

// Configure reads the settings of `{{name}}.toml`, which come as JSON. An error is shown to the operator: say what to
// write. A map, not a struct: encoding/json lets `Word` pass for a field `word`.
func Configure(text string) error {
	var settings map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		return err
	}
	word = ""
	for key, value := range settings {
		if key != "word" {
			return fmt.Errorf("the only key is `word`, not %q", key)
		}
		if json.Unmarshal(value, &word) != nil || word == "" {
			return errors.New("`word` must be a word, such as \"delete\"; leave it out to deny nothing")
		}
	}
	word = lower(word)
	return nil
}

// Denies tells whether a tool of this name may not be called.
func Denies(name string) bool {
	return word != "" && strings.Contains(lower(name), word)
}

// lower knows ASCII letters only: strings.ToLower would make a k of the Kelvin sign.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}
