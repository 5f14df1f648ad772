package fleet

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strconv"
)

// maxLength is the length of the longest number, in characters. The longest in the recordings has 45.
const maxLength = 100

// Decimal is the text of a JSON number: the tracks have more digits than a float64. Empty means no
// number, null in JSON.
type Decimal string

var errDecimal = errors.New("not a JSON number")

// ParseDecimal parses a JSON number, or a JSON string that contains one. It returns "" for null and for
// an empty raw.
func ParseDecimal(raw []byte) (Decimal, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	if raw[0] == '"' {
		text, err := unquote(raw)
		if err != nil {
			return "", errDecimal
		}
		raw = []byte(text)
	}
	if len(raw) > maxLength || !isNumber(raw) {
		return "", errDecimal
	}
	return Decimal(raw), nil
}

// Float returns the float64 nearest to d: an infinity if d is out of range, 0 if d is empty.
func (d Decimal) Float() float64 {
	v, _ := strconv.ParseFloat(string(d), 64)
	return v
}

// Within reports whether d is from -limit to limit, computed exactly; limit is more than 0.
func (d Decimal) Within(limit int64) bool {
	v := math.Abs(d.Float())
	if v != float64(limit) {
		return v < float64(limit)
	}
	exact, ok := new(big.Rat).SetString(string(d)) // cheap: d is near limit, so its exponent is small
	return ok && exact.Abs(exact).Cmp(new(big.Rat).SetInt64(limit)) <= 0
}

// isNumber reports whether s is a number by JSON's grammar (RFC 8259, section 6).
func isNumber(s []byte) bool {
	n := len(s)
	// the first and the last byte, because json.Valid accepts space around a value
	return n > 0 && (s[0] == '-' || isDigit(s[0])) && isDigit(s[n-1]) && json.Valid(s)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
