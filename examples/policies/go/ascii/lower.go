// Package ascii compares text as the contract's words are compared: letters of ASCII are the same in either case, and no
// others are. strings.ToLower would make a k of the Kelvin sign.
package ascii

// Lower returns text with the letters A to Z in lower case.
func Lower(text string) string {
	lower := []byte(text)
	for i, b := range lower {
		if 'A' <= b && b <= 'Z' {
			lower[i] = b + 'a' - 'A'
		}
	}
	return string(lower)
}
