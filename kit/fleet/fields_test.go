package fleet_test

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"

	"fleetman.example/kit/fleet"
)

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{
		"City Truck": true, "Zażółć 卡车": true, "a.b": true, "...": true, "100%": true, "a+b;c?d#e": true,
		strings.Repeat("x", 100): true, strings.Repeat("é", 50): true,
		"": false, " ": false, "\u2003": false, ".": false, "..": false, "a/b": false, `a\b`: false, "a\nb": false, "a\x00b": false, "a\u202eb": false,
		"\xff": false, "\ufffd": false, strings.Repeat("x", 101): false, strings.Repeat("é", 51): false,
	} {
		err := fleet.CheckName(name)
		if good != (err == nil) {
			t.Errorf("%q: got %v", name, err)
		}
		var field *fleet.FieldError
		if err != nil && (!errors.As(err, &field) || field.HTTPStatus() != http.StatusBadRequest ||
			!strings.HasSuffix(err.Error(), ": must be 1 to 100 bytes of printable text, not blank, . or .., without slash and backslash")) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestParseDecimal(t *testing.T) {
	for in, want := range map[string]fleet.Decimal{
		"": "", "null": "", "0": "0", "-0": "-0", "0.10": "0.10", "12e+3": "12e+3", "1E400": "1E400", `"53.10"`: "53.10", `"\u0031"`: "1",
		strings.Repeat("9", 100): fleet.Decimal(strings.Repeat("9", 100)),
	} {
		if got, err := fleet.ParseDecimal([]byte(in)); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"+1", "01", "1.", ".1", "1e", "1e+", "-", "--1", "0x1", "1_0", "NaN", "Infinity", "1 ", `""`, `"x"`, `" 1"`, `"`, "true", strings.Repeat("9", 101)} {
		if got, err := fleet.ParseDecimal([]byte(in)); err == nil || got != "" {
			t.Errorf("%s: got %q and no error", in, got)
		}
	}
}

func TestFloat(t *testing.T) {
	for d, want := range map[fleet.Decimal]float64{"": 0, "53.10": 53.1, "-1e-7": -1e-7, "1e999": math.Inf(1), "-1e999": math.Inf(-1)} {
		if got := d.Float(); got != want {
			t.Errorf("%q: got %v, want %v", d, got, want)
		}
	}
}
