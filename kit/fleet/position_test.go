package fleet_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"fleetman.example/kit/fleet"
)

var now = time.Date(2026, 11, 22, 8, 5, 36, 0, time.UTC)

// TestDecodeAccepts checks that Decode accepts a report, and that AppendJSON writes it in the original's form.
func TestDecodeAccepts(t *testing.T) {
	const coordinates = `"lat":53.1,"lng":-1.4`
	const received = "2026-11-22T08:05:36.000+0000" // now
	const original = `{"name":"City Truck","lat":53.37262733839452266693115234375,"lng":-1.484639234840869903564453125,"timestamp":"2023-11-13T05:31:33.279+0000","speed":7.4770534017002185024}`
	// in returns a report with the coordinates and more fields.
	in := func(fields string) string { return `{"name":"T",` + coordinates + fields + `}` }
	// out returns what AppendJSON writes for a report without a speed.
	out := func(latLng, timestamp string) string {
		return `{"name":"T",` + latLng + `,"timestamp":"` + timestamp + `","speed":null}`
	}
	for name, tc := range map[string]struct{ in, out string }{
		"as the original writes": {original, original},
		"no timestamp":           {in(``), out(coordinates, received)},
		"null timestamp":         {in(`,"timestamp":null,"speed":null`), out(coordinates, received)},
		"Z":                      {in(`,"timestamp":"2023-11-13T05:31:33Z"`), out(coordinates, "2023-11-13T05:31:33.000+0000")},
		"lower case":             {in(`,"timestamp":"2023-11-13t05:31:33.5z"`), out(coordinates, "2023-11-13T05:31:33.500+0000")},
		"offset with a colon":    {in(`,"timestamp":"2023-11-13T05:31:33.5+02:00"`), out(coordinates, "2023-11-13T03:31:33.500+0000")},
		"offset without a colon": {in(`,"timestamp":"2023-11-13T05:31:33.500+0200"`), out(coordinates, "2023-11-13T03:31:33.500+0000")},
		"epoch milliseconds":     {in(`,"timestamp":1699853493279`), out(coordinates, "2023-11-13T05:31:33.279+0000")},
		"unknown field":          {in(`,"colour":"red"`), out(coordinates, received)},
		"degrees as strings":     {`{"name":"T","lat":"53.10","lng":"-1.4"}`, out(`"lat":53.10,"lng":-1.4`, received)},
		"exponent":               {`{"name":"T","lat":5.310E+1,"lng":1e-7}`, out(`"lat":5.310E+1,"lng":1e-7`, received)},
		"largest degrees":        {`{"name":"T","lat":-90,"lng":180.0}`, out(`"lat":-90,"lng":180.0`, received)},
		"many digits":            {`{"name":"T","lat":-9.000e+1,"lng":179.9999999999999999999999}`, out(`"lat":-9.000e+1,"lng":179.9999999999999999999999`, received)},
		"name with punctuation":  {`{"name":"O'Neil & Sons <\"é\">",` + coordinates + `}`, `{"name":"O'Neil & Sons <\"é\">",` + coordinates + `,"timestamp":"` + received + `","speed":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := fleet.Decode([]byte(tc.in), now)
			if err != nil {
				t.Fatal(err)
			}
			if p.Timestamp.IsZero() {
				p.Timestamp = now // as the services do
			}
			if got := string(p.AppendJSON(nil)); got != tc.out {
				t.Errorf("got  %s\nwant %s", got, tc.out)
			}
		})
	}
}

// TestDecodeRefuses checks that the error of an invalid report names the field.
func TestDecodeRefuses(t *testing.T) {
	report := func(name, lat, lng, timestamp, speed string) string {
		return `{"name":` + name + `,"lat":` + lat + `,"lng":` + lng + `,"timestamp":` + timestamp + `,"speed":` + speed + `}`
	}
	const ts = `"2023-11-13T05:31:33.279+0000"`
	for in, field := range map[string]string{
		``:                    "body",
		`null`:                "body",
		`[]`:                  "body",
		`"x"`:                 "body",
		`{"name":`:            "body",
		`{} x`:                "body",
		"{\"name\":\"\xff\"}": "body",
		`{}`:                  "name",
		`{"name":"T"}`:        "lat",
		report(`"T"`, `90.00000000000000000001`, `2`, ts, `null`):     "lat",
		report(`"T"`, `1`, `-1800000000000000000001e-19`, ts, `null`): "lng",
		report(`"T"`, `1`, `2`, ts, `1e400`):                          "speed",
		report(`7`, `1`, `2`, ts, `null`):                             "name",
		report(`"a/b"`, `1`, `2`, ts, `null`):                         "name",
		report(`"T"`, `90.1`, `2`, ts, `null`):                        "lat",
		report(`"T"`, `1e999999999`, `2`, ts, `null`):                 "lat",
		report(`"T"`, `"north"`, `2`, ts, `null`):                     "lat",
		report(`"T"`, `"NaN"`, `2`, ts, `null`):                       "lat",
		report(`"T"`, `true`, `2`, ts, `null`):                        "lat",
		report(`"T"`, `null`, `2`, ts, `null`):                        "lat",
		report(`"T"`, `NaN`, `2`, ts, `null`):                         "body",
		report(`"T"`, `1`, `-180.5`, ts, `null`):                      "lng",
		report(`"T"`, `1`, `0.`+strings.Repeat("0", 200), ts, `null`): "lng",
		report(`"T"`, `1`, `2`, `"yesterday"`, `null`):                "timestamp",
		report(`"T"`, `1`, `2`, `"1970-01-01T00:00:00Z"`, `null`):     "timestamp",
		report(`"T"`, `1`, `2`, `"9999-01-01T00:00:00Z"`, `null`):     "timestamp",
		report(`"T"`, `1`, `2`, `{}`, `null`):                         "timestamp",
		report(`"T"`, `1`, `2`, `1e3`, `null`):                        "timestamp",
		report(`"T"`, `1`, `2`, ts, `"fast"`):                         "speed",
	} {
		_, err := fleet.Decode([]byte(in), now)
		if err == nil || !strings.HasPrefix(err.Error(), field+": ") || !strings.Contains(err.Error(), ": must be ") {
			t.Errorf("%.60s: got %v, want %s: …: must be …", in, err, field)
		}
	}
}

// FuzzDecode checks that Decode returns either an error that names a field, or a report that AppendJSON and
// Decode reproduce.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"name":"City Truck","lat":53.37262733839452266693115234375,"lng":-1.484639234840869903564453125,"timestamp":"2023-11-13T05:31:33.279+0000","speed":7.5}`,
		`{"name":"T","lat":"1e-7","lng":"-0","timestamp":1699853493279}`, `{"name":"\u0000"}`, `[`, `{"lat":1e999}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := fleet.Decode(body, now)
		if err != nil {
			if !strings.Contains(err.Error(), ": must be ") {
				t.Errorf("got %v, want FIELD: …: must be …", err)
			}
			return
		}
		if p.Timestamp.IsZero() {
			p.Timestamp = now
		}
		out := p.AppendJSON(nil)
		if !json.Valid(out) {
			t.Fatalf("wrote invalid JSON: %s", out)
		}
		again, err := fleet.Decode(out, now)
		if err != nil {
			t.Fatalf("decode again: %v: %s", err, out)
		}
		p.Timestamp = p.Timestamp.Truncate(time.Millisecond) // the resolution of TimeLayout
		if again != p {
			t.Errorf("decoded again %+v, want %+v", again, p)
		}
	})
}
