// Package ascii compares text as the contract's words are compared: letters of ASCII are the same in either case, and no
// others are. strings.ToLower would make a k of the Kelvin sign.
package ascii

import "strings"

// Lower returns text with the letters A to Z in lower case.
func Lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}
