package fleet

import (
	"encoding/json"
	"errors"
	"strconv"
)

// maxDigits bounds a number's length in characters; the longest in the recordings has 45.
const maxDigits = 100

// Decimal is a JSON number kept as its text, because the tracks hold more digits than a float64.
// Empty means no number, null on the wire.
type Decimal string

var errDecimal = errors.New("expected a JSON number")

// ParseDecimal reads a JSON number, or a JSON string that holds one; null and nothing are "".
func ParseDecimal(raw []byte) (Decimal, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	text := string(raw)
	if raw[0] == '"' {
		if json.Unmarshal(raw, &text) != nil {
			return "", errDecimal
		}
	}
	if len(text) > maxDigits || !isNumber(text) {
		return "", errDecimal
	}
	return Decimal(text), nil
}

// Float is d's nearest float64; an infinity when it is beyond one, 0 when d is empty.
func (d Decimal) Float() float64 {
	v, _ := strconv.ParseFloat(string(d), 64)
	return v
}

// isNumber tells whether s is a number by JSON's grammar (RFC 8259, section 6).
func isNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	if s != "" && s[0] == '0' {
		s = s[1:]
	} else if !digits() {
		return false
	}
	if s != "" && s[0] == '.' {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		if s = s[1:]; s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		return digits() && s == ""
	}
	return s == ""
}
