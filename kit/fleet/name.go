package fleet

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest name of a vehicle, in bytes.
const maxName = 100

// CheckName returns a *FieldError unless name is 1 to 100 bytes of printable UTF-8, not blank, without
// slash and backslash, and neither "." nor "..": it becomes a path segment and part of a log line.
func CheckName(name string) error {
	allowed := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) && r != '/' && r != '\\' }
	if name == "" || len(name) > maxName || strings.TrimSpace(name) == "" || name == "." || name == ".." ||
		strings.IndexFunc(name, func(r rune) bool { return !allowed(r) }) >= 0 {
		return &FieldError{"name", strconv.Quote(Shown(name)), "1 to " + strconv.Itoa(maxName) + " bytes of printable text, not blank, . or .., without slash and backslash"}
	}
	return nil
}
