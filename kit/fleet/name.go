package fleet

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a vehicle's name, in bytes.
const maxName = 100

// CheckName accepts what can be one segment of a path and one line of a log: 1 to 100 bytes of
// printable UTF-8 without a slash, and neither "." nor "..". Its error is a *FieldError.
func CheckName(name string) error {
	printable := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) && r != '/' && r != '\\' }
	if name == "" || len(name) > maxName || strings.TrimSpace(name) == "" || name == "." || name == ".." ||
		strings.IndexFunc(name, func(r rune) bool { return !printable(r) }) >= 0 {
		return &FieldError{"name", strconv.Quote(Shown(name)), "1 to " + strconv.Itoa(maxName) + " bytes of printable text without a slash"}
	}
	return nil
}
