package scrape

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestGet(t *testing.T) {
	text := `# HELP a_total Some } "text".
# TYPE a_total counter
a_total{path="/a,b}\"c\"",empty="",} 12
plain 1.5e+03 1700000000
other 7
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} 3
took_seconds_bucket{le="+Inf"} 4
took_seconds_sum 2.5
took_seconds_count 4
`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(text))
	}))
	defer server.Close()
	admin := server.Listener.Addr().String()
	if none, err := Get(t.Context(), server.Client(), admin, "not_counted_yet"); err != nil || none == nil || len(none) != 0 {
		t.Errorf("no samples: got %#v, %v, want an empty vector", none, err)
	}
	samples, err := Get(t.Context(), server.Client(), admin, "a_total", "plain", "took_seconds_bucket", "took_seconds_count")
	var got []string
	for _, s := range samples {
		got = append(got, fmt.Sprintf("%v %v", s.Metric, s.Value))
	}
	slices.Sort(got)
	want := []string{
		`a_total{empty="", path="/a,b}\"c\""} 12`, "plain 1500", `took_seconds_bucket{le="+Inf"} 4`, `took_seconds_bucket{le="0.1"} 3`, "took_seconds_count 4",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for broken, want := range map[string]string{`a{x="1": 1`: "line 1", "a one\n": `"one"`, "a{b=c} 1\n": "line 1", "": ""} {
		text = broken
		samples, err := Get(t.Context(), server.Client(), admin, "a")
		if (err == nil) != (want == "") || err != nil && (!strings.HasPrefix(err.Error(), "metrics of "+admin+": ") || !strings.Contains(err.Error(), want)) || len(samples) != 0 {
			t.Errorf("%q: got %v, %v, want %s", broken, samples, err, want)
		}
	}
	if _, err := Get(t.Context(), server.Client(), admin+"/x", "a"); err == nil || err.Error() != "metrics of "+admin+"/x: status 404" {
		t.Errorf("got %v", err)
	}
}

func TestJSON(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Path[1:])
		w.WriteHeader(status)
		fmt.Fprint(w, r.URL.RawQuery)
	}))
	defer server.Close()
	for path, want := range map[string]string{
		"/200?7": "7 true <nil>", "/404?7": "0 false <nil>", "/500?7": "0 false read URL: status 500",
		"/200?x": "0 false read URL: invalid character 'x' looking for beginning of value",
	} {
		number := 0
		found, err := JSON(t.Context(), server.Client(), server.URL+path, &number)
		if got := fmt.Sprint(number, found, err); got != strings.Replace(want, "URL", server.URL+path, 1) {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// TestBody checks that a body that is too large is an error, with the URL, and not read in part.
func TestBody(t *testing.T) {
	size := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size))
	}))
	defer server.Close()
	for _, test := range []struct {
		size int
		want string
	}{
		{0, "0 <nil>"},
		{maxBody, fmt.Sprint(maxBody) + " <nil>"},
		{maxBody + 1, "0 read " + server.URL + ": the body: more than 67108864 bytes: must be at most 64 MiB"},
	} {
		size = test.size
		status, body, err := Body(t.Context(), server.Client(), server.URL)
		assert.Equal(t, http.StatusOK, status, "status")
		assert.Equal(t, test.want, fmt.Sprint(len(body), " ", err), fmt.Sprintf("%d bytes", size))
	}
}
