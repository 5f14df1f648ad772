package check

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"fleetman.example/lab/scenario"
)

// expectation parses an expectation of an expect.yaml.
func expectation(t *testing.T, text string) *scenario.Expect {
	t.Helper()
	var e scenario.Expect
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &e), text)
	return &e
}

// answers returns a record for each letter, 100 ms apart: g good (200, "one"),
// G good with "two", b bad (502), r reset, s slow (200 after 5 s), t timed out
// after 30 s, c cut short, f by fallback.
func answers(letters string) []Record {
	kinds := map[rune]Record{
		'g': {Status: 200, Body: []byte("<one>"), Took: time.Millisecond},
		'G': {Status: 200, Body: []byte("<two>"), Took: time.Millisecond},
		'b': {Status: 502, Took: time.Millisecond},
		'r': {Reset: true, Failure: "connection reset", Took: time.Millisecond},
		's': {Status: 200, Body: []byte("<one>"), Took: 5 * time.Second},
		't': {Failure: "time-out", Took: 30 * time.Second},
		'c': {Status: 200, Failure: "unexpected EOF", Took: time.Millisecond},
		'f': {Status: 200, Header: http.Header{"X-Fallback": {"last-known"}}, Took: time.Millisecond},
	}
	var records []Record
	for i, letter := range letters {
		record := kinds[letter]
		record.Start = time.Duration(i) * 100 * time.Millisecond
		record.Key = []string{"a", "b"}[i%2]
		records = append(records, record)
	}
	return records
}

// warmed has a replica, G, that is away and comes back.
var warmed = "gGgGgggggggg" + "GgggGgggGg" + "GgGgGgGgGg" + "GgG"

// returning returns an expectation of a replica's share until a time.
func returning(to, share string) string {
	return fmt.Sprintf("{returns: {replica: {body: two}, away: 500ms, shares: [{from: 0s, to: %s, count: {%s, confidence: 0.99}}]}}", to, share)
}

func TestJudge(t *testing.T) {
	staff := []Call{
		{"staff-service", "GET", "/driver/x", "spiffe://cluster.local/ns/default/sa/api-gateway"},
		{"staff-service", "POST", "/driver/x/30", ""},
		{"staff-service-risky", "GET", "/driver/x", ""},
	}
	proxies := []Proxy{{"webapp", "next"}, {"staff-service", "next"}, {"staff-service", "next"}, {"api-gateway", "default"}, {"api-gateway", ""}}
	tests := []struct {
		expect, letters string
		calls           []Call
		action          time.Duration
		holds           bool
		saw             string
	}{
		{"{answers: {status: [200]}, count: all}", "gggg", nil, 0, true, "4 of 4 requests"},
		{"{answers: {status: [200]}, count: all}", "ggbrc", nil, 0, false, "2 of 5 requests; others: 1× 200, cut short, 1× 502, 1× reset"},
		{"{answers: {status: [5xx]}, count: none}", "gggb", nil, 0, false, "1 of 4 requests"},
		{"{answers: {status: [404, 5xx]}, count: {atLeast: 1}}", "gggb", nil, 0, true, "1 of 4"},
		{"{answers: {body: one}, count: {share: 0.5, confidence: 0.99}}", strings.Repeat("gG", 50), nil, 0, true, "50 of 100"},
		{"{answers: {body: one}, count: {share: 0.1, confidence: 0.99}}", strings.Repeat("gG", 50), nil, 0, false, "50 of 100"},
		{"{answers: {header: {x-fallback: .}}, count: {atMost: 1}}", "gff", nil, 0, false, "2 of 3"},
		{`{answers: {header: {x-fallback: "^$"}}, count: {atLeast: 1}}`, "gff", nil, 0, true, "1 of 3 requests; others: 2× 200 by fallback"},
		{"{answers: {reset: true}, count: all}", "rrr", nil, 0, true, "3 of 3"},
		{"{answers: {reset: true}, count: all}", "rgr", nil, 0, false, "2 of 3 requests; others: 1× 200"},
		{"{answers: {fasterThan: 3s}, count: all}", "gs", nil, 0, false, "others: 1× 200 after 5 s"},
		{"{answers: {slowerThan: 1s}, count: {atLeast: 2}}", "gst", nil, 0, true, "2 of 3"},
		{"{answers: {status: [200], slowerThan: 1s}, count: {atLeast: 2}}", "gst", nil, 0, false, "1 of 3"},

		{"{received: {by: [staff-service]}, count: {perRequest: 2}}", "g", staff, 0, true, "2 of 1"},
		{"{received: {by: [staff-service, staff-service-risky], method: GET}, count: all}", "gg", staff, 0, true, "2 of 2"},
		{`{received: {by: [staff-service], path: "^/driver/x$"}, count: none}`, "g", staff, 0, false, "1 of 1"},
		{"{received: {by: [staff-service], identity: api-gateway}, count: {atLeast: 2}}", "gg", staff, 0, false, "others: 1× POST of no identity to staff-service"},
		{"{received: {by: [other]}, count: none}", "g", staff, 0, true, "0 of 1"},

		{"{proxies: {of: [webapp, staff-service], revision: next}, count: all}", "g", nil, 0, true, "3 of 3 proxies"},
		{"{proxies: {of: [webapp, api-gateway], revision: next}, count: all}", "g", nil, 0, false, "1 of 3 proxies; others: 1× default, 1× no control plane"},
		{"{proxies: {of: [webapp], revision: default}, count: none}", "g", nil, 0, true, "0 of 1 proxies; others: 1× next"},
		{"{proxies: {of: [staff-service], revision: next}, count: none}", "g", nil, 0, false, "2 of 2 proxies"},
		{"{proxies: {of: [webapp, other], revision: next}, count: all}", "g", nil, 0, false, "1 of 1 proxies; no proxy of other"},
		{"{proxies: {of: [other], revision: next}, count: none}", "g", nil, 0, false, "0 of 0 proxies; no proxy of other"},

		{`{consistent: {capture: "<(.*)>"}, count: all}`, "gGgGgG", nil, 0, true, "2 of 2 keys"},
		{`{consistent: {capture: "<(.*)>"}, count: all}`, "gGgGGG", nil, 0, false, "1 of 2 keys"},
		{`{consistent: {capture: "<(.*)>"}, count: all}`, "gbgbgb", nil, 0, false, "1 of 2 keys"},
		{`{distinct: {capture: "<(.*)>"}, count: {atLeast: 2, atMost: 2}}`, "ggGb", nil, 0, true, "one, two"},
		{`{distinct: {capture: "<.*>"}, count: {atLeast: 2, atMost: 2}}`, "ggg", nil, 0, false, "<one>"},

		{"{settles: {good: {status: [200]}, afterAtMost: 2, run: 3}}", "gbbggg", nil, 0, true, "2 others, then good ones from 0.3 s on, for 0.2 s until the end"},
		{"{settles: {good: {status: [200]}, afterAtMost: 1, run: 3}}", "gbbggg", nil, 0, false, "2 others"},
		{"{settles: {good: {status: [200]}, afterAtMost: 9, run: 3}}", "ggbggb", nil, 0, false, "no 3 in a row in 6 requests; others: 2× 502"},
		{"{settles: {good: {status: [200]}, afterAtMost: 0, run: 3, lastsAtLeast: 400ms, lastsAtMost: 600ms}}", "gggggbg", nil, 0, true, "for 0.5 s;"},
		{"{settles: {good: {status: [200]}, afterAtMost: 0, run: 3, lastsAtLeast: 600ms}}", "gggggbg", nil, 0, false, "for 0.5 s"},
		{"{settles: {good: {status: [200]}, afterAtMost: 0, run: 3, lastsAtMost: 400ms}}", "gggggbg", nil, 0, false, "for 0.5 s"},
		{"{settles: {good: {status: [200]}, afterAtMost: 0, run: 3, lastsAtMost: 400ms}}", "gggggggg", nil, 0, false, "until the end"},

		{"{recovers: {good: {status: [200]}, within: 300ms, run: 2}}", "ggbbbbgg", nil, 300 * time.Millisecond, true, "after 0.3 s"},
		{"{recovers: {good: {status: [200]}, within: 299ms, run: 2}}", "ggbbbbgg", nil, 300 * time.Millisecond, false, "after 0.3 s"},
		{"{recovers: {good: {status: [200]}, within: 9s, run: 3}}", "ggbbbbgg", nil, 300 * time.Millisecond, false, "no 3 in a row in the 5 requests after it"},
		{"{recovers: {good: {status: [200]}, within: 9s, run: 1}}", "gg", nil, time.Second, false, "no request after the last action"},

		// away from 0.3 s, the time of the action, to 1.2 s
		{returning("1s", "share: 0.25"), warmed, nil, 300 * time.Millisecond, true, "away for 0.9 s; 3 of 10 requests from 0s to 1s; in each second 3/10 5/10"},
		{returning("1s", "share: 0.9"), warmed, nil, 300 * time.Millisecond, false, "3 of 10 requests from 0s to 1s"},
		{returning("3s", "share: 0.5"), warmed, nil, 300 * time.Millisecond, false, "from 0s to 3s, which ended after 2.2 s"},
		{returning("1s", "share: 0.5"), strings.Repeat("gG", 20), nil, 300 * time.Millisecond, false, "away for at most 0.2 s; others: 20× 200"},
		{returning("1s", "share: 0.5"), "gGgGgG" + strings.Repeat("g", 40), nil, 300 * time.Millisecond, false, "away for at most 0.2 s"},
		{returning("1s", "share: 0.5"), "gG", nil, time.Second, false, "away for at most 0.0 s"},
	}
	for _, test := range tests {
		e := expectation(t, test.expect)
		o := &observation{planned: len(test.letters), records: answers(test.letters), calls: test.calls, proxies: proxies, lastAction: test.action}
		for _, record := range o.records {
			o.ended = max(o.ended, record.Start)
		}
		finding := o.judge(e)
		assert.Equal(t, test.holds, finding.Holds, "%s of %s: %s", test.expect, test.letters, finding)
		assert.Contains(t, finding.Saw, test.saw, "%s of %s", test.expect, test.letters)
	}
}

// TestCannotHold compares what the first records decide with all that can follow: only when no other record could
// make the expectation hold is it decided.
func TestCannotHold(t *testing.T) {
	for _, expect := range []string{
		"{answers: {status: [200]}, count: all}", "{answers: {status: [200]}, count: none}", "{answers: {status: [200]}, count: {atLeast: 3, atMost: 4}}",
		"{settles: {good: {status: [200]}, afterAtMost: 1, run: 3}}", "{settles: {good: {status: [200]}, afterAtMost: 0, run: 2}}",
	} {
		e := expectation(t, expect)
		const planned = 7
		decided := 0
		for bits := range 1 << planned {
			letters := make([]byte, planned)
			for i := range letters {
				letters[i] = "gb"[bits>>i&1]
			}
			for n := range planned + 1 {
				first := &observation{planned: planned, records: answers(string(letters[:n]))}
				if first.cannotHold(*e) {
					decided++
					whole := &observation{planned: planned, records: answers(string(letters))}
					if whole.judge(e).Holds || first.judge(e).Holds || n < planned && !strings.Contains(first.judge(e).Saw, fmt.Sprintf("%d not sent, as the first ones decide", planned-n)) {
						t.Errorf("%s: decided by %s of %s; %+v", expect, letters[:n], letters, first.judge(e))
					}
				}
			}
		}
		assert.NotZero(t, decided, "%s: decided", expect)
	}
}

func TestExpectationsInWords(t *testing.T) {
	tests := []struct{ expect, want string }{
		{"{answers: {status: [200, 5xx], body: one}, count: {share: 0.1, confidence: 0.99}}", "3 to 18 (share 0.1 at 0.99) responses with status 200 or status 5xx, body /one/"},
		{"{answers: {reset: true}, count: all}", "100 responses with a connection reset"},
		{"{answers: {header: {b: x, a: z}, fasterThan: 1s}, count: {atLeast: 3}}", "3 or more responses with a /z/, b /x/, in less than 1s"},
		{"{received: {by: [a, b], method: GET, path: x, identity: z}, count: none}", "0 calls that reached a or b as GET, path /x/, from /z/"},
		{"{settles: {good: {status: [200]}, afterAtMost: 2, run: 3, lastsAtLeast: 1s, lastsAtMost: 2s}}", "at most 2 others before 3 in a row of status 200, for 1s at least, for 2s at most"},
		{returning("1s", "shareAtMost: 0.3"), "after 500ms or more without body /two/, of the responses from 0s to 1s share at most 0.3 at 0.99"},
		{"{recovers: {good: {status: [200]}, within: 2s, run: 3}}", "3 in a row of status 200 within 2s of the last action"},
	}
	for _, test := range tests {
		o := &observation{planned: 100, records: answers(strings.Repeat("g", 100))}
		assert.Equal(t, test.want, o.judge(expectation(t, test.expect)).Expected, test.expect)
	}
}
