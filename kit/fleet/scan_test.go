package fleet

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

const recorded = `{"name":"City Truck","lat":53.37262733839452266693115234375,"lng":-1.484639234840869903564453125,"timestamp":"2023-11-13T05:31:33.279+0000","speed":7.4770534017002185024}`

// scan returns the same as encoding/json, or false.
func TestScan(t *testing.T) {
	for text, want := range map[string]bool{
		recorded: true,
		" {\t\"name\" :\r\n\"x\" , \"lat\":1e5,\"lng\" : null}\n": true,
		`{"lat":1,"lat":2}`:      true,
		`{"lat":"53.1"}`:         true,
		`{}`:                     false,
		``:                       false,
		`{`:                      false,
		`{"lat"`:                 false,
		`{"lat":`:                false,
		`{"lat":1`:               false,
		`{"lat":1,`:              false,
		`{"lat":1,}`:             false,
		`{"lat":1}}`:             false,
		`{"lat":1} x`:            false,
		`{"lat":01}`:             false,
		`{"lat":1 2}`:            false,
		`{"lat":}`:               false,
		`{"lat":true}`:           false,
		`{"lat":[1,2]}`:          false,
		`{"lat":{"lat":1}}`:      false,
		`{"Lat":1}`:              false,
		`{"other":1}`:            false,
		`{"n\u0061me":"x"}`:      false,
		`{"name":"a\"b"}`:        false,
		`{"name":"é"}`:           false,
		"{\"name\":\"a\nb\"}":    false,
		`{"name":"x}`:            false,
		`{name:"x"}`:             false,
		`[{"name":"x"}]`:         false,
		"\ufeff{\"name\":\"x\"}": false,
	} {
		if _, ok := scan([]byte(text)); ok != want {
			t.Errorf("%s: got %v, want %v", text, ok, want)
		}
		sameAsJSON(t, []byte(text))
	}
}

func sameAsJSON(t *testing.T, text []byte) {
	t.Helper()
	got, ok := scan(text)
	if !ok {
		return
	}
	var want wire
	if err := json.Unmarshal(text, &want); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q: got %s, want %s (%v)", text, got, want, err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte(recorded))
	f.Add([]byte(`{"lat" :"1", "lat":-0.5e+7}`))
	f.Fuzz(func(t *testing.T, text []byte) { sameAsJSON(t, text) })
}

func TestUnquote(t *testing.T) {
	for raw, want := range map[string]string{`"City Truck"`: "City Truck", `""`: "", `"\u0041"`: "A", `"é"`: "é", `null`: ""} {
		if got, err := unquote([]byte(raw)); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{``, `"`, `"a"b"`, `"a\"`, `1`, "\"a\nb\""} {
		if got, err := unquote([]byte(raw)); err == nil {
			t.Errorf("%s: got %q and no error", raw, got)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	now := time.Now()
	for b.Loop() {
		if _, err := Decode([]byte(recorded), now); err != nil {
			b.Fatal(err)
		}
	}
}
