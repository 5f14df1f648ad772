package scrape

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

func all(string) bool { return true }

func TestParse(t *testing.T) {
	samples, err := Parse(strings.NewReader(`# HELP a_total Some } "text".
# TYPE a_total counter
a_total{path="/a,b}\"c\"",empty="",} 12
plain 1.5e+03 1700000000

ignored{broken 1
`), func(name string) bool { return name != "ignored" })
	want := []Sample{
		{"a_total", map[string]string{"path": `/a,b}"c"`, "empty": ""}, 12},
		{"plain", map[string]string{}, 1500},
	}
	if err != nil || !reflect.DeepEqual(samples, want) {
		t.Errorf("got %v, %v, want %v", samples, err, want)
	}
	for text, want := range map[string]string{
		"a{x 1":      `"a{x 1": label="value" is expected`,
		`a{x="1" 1`:  `"a{x=\"1\" 1": label="value" is expected`,
		`a{x="1`:     `"a{x=\"1": label="value" is expected`,
		"a one":      `"a one": a number is expected`,
		`a{x="1"}`:   `"a{x=\"1\"}": a number is expected`,
		"a{b=c} 1\n": `"a{b=c} 1": label="value" is expected`,
	} {
		if samples, err := Parse(strings.NewReader(text), all); err == nil || err.Error() != want || samples != nil {
			t.Errorf("%q: got %v, %v, want %s", text, samples, err, want)
		}
	}
}

func TestGet(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("up 1\n"))
	}))
	defer server.Close()
	admin := server.Listener.Addr().String()
	samples, err := Get(t.Context(), server.Client(), admin, all)
	if err != nil || len(samples) != 1 || samples[0].Value != 1 {
		t.Errorf("got %v, %v", samples, err)
	}
	if _, err := Get(t.Context(), server.Client(), admin+"/x", all); err == nil || err.Error() != "metrics of "+admin+"/x: status 404" {
		t.Errorf("got %v", err)
	}
}
