package fault

import (
	"cmp"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Rule{
		"delay=2s":                       {Kind: Delay, Least: 2 * time.Second, Most: 2 * time.Second},
		"delay=0s..5s":                   {Kind: Delay, Most: 5 * time.Second},
		"delay=24h":                      {Kind: Delay, Least: maxDuration, Most: maxDuration},
		"status=502":                     {Kind: Status, Status: 502},
		"status=200":                     {Kind: Status, Status: 200},
		"status=599":                     {Kind: Status, Status: 599},
		"status=503,retry-after=3s":      {Kind: Status, Status: 503, RetryAfter: 3 * time.Second},
		"retry-after=1m,status=429":      {Kind: Status, Status: 429, RetryAfter: time.Minute},
		"reset":                          {Kind: Reset},
		"hang":                           {Kind: Hang},
		"crash":                          {Kind: Crash},
		"truncate":                       {Kind: Truncate},
		"truncate=0":                     {Kind: Truncate},
		"truncate=10":                    {Kind: Truncate, Bytes: 10},
		"slow=1":                         {Kind: Slow, Bytes: 1},
		"capacity=100,queue=20":          {Kind: Capacity, PerSecond: 100, Queue: 20},
		"capacity=100,queue=0":           {Kind: Capacity, PerSecond: 100},
		"capacity=100":                   {Kind: Capacity, PerSecond: 100, Queue: 100},
		"capacity=0.5":                   {Kind: Capacity, PerSecond: .5, Queue: 1},
		"idle=5s":                        {Kind: Idle, Idle: 5 * time.Second},
		"idle=0s":                        {Kind: Idle},
		"reset,rate=0..1,for=1m":         {Kind: Reset, Rate: -1, RateEnd: 1, For: time.Minute, Over: time.Minute},
		"reset,rate=0.5..0.1,over=1m":    {Kind: Reset, Rate: .5, RateEnd: .1, Over: time.Minute},
		"reset,rate=0..1,over=1s,for=1m": {Kind: Reset, Rate: -1, RateEnd: 1, For: time.Minute, Over: time.Second},
		"reset,rate=0":                   {Kind: Reset, Rate: -1},
		"reset,rate=0.25":                {Kind: Reset, Rate: .25},
		"reset,rate=1":                   {Kind: Reset},
		"reset,method=POST":              {Kind: Reset, Method: "POST"},
		"reset,path=/driver/":            {Kind: Reset, Path: "/driver/"},
		"reset,path=/a=b%2Cc":            {Kind: Reset, Path: "/a=b%2Cc"},
		"reset,header=x-user: jason":     {Kind: Reset, Header: "X-User", Value: "jason"},
		"reset,header=X-User:":           {Kind: Reset, Header: "X-User"},
		"reset,header=X-Time:12:30":      {Kind: Reset, Header: "X-Time", Value: "12:30"},
		"reset,after=10s":                {Kind: Reset, After: 10 * time.Second},
		"reset,after=0s":                 {Kind: Reset},
		"reset,for=10s":                  {Kind: Reset, For: 10 * time.Second},
		"reset,every=1m,for=10s":         {Kind: Reset, For: 10 * time.Second, Every: time.Minute},
		"reset,count=3":                  {Kind: Reset, Count: 3},
		" reset , rate=0.5 , count=1 ":   {Kind: Reset, Rate: .5, Count: 1},
		"rate=0.5,path=/x,delay=1ms..1s": {Kind: Delay, Least: time.Millisecond, Most: time.Second, Rate: .5, Path: "/x"},
	} {
		switch want.Rate {
		case 0:
			want.Rate = 1
		case -1:
			want.Rate = 0
		}
		want.RateEnd = cmp.Or(want.RateEnd, want.Rate)
		want.text = strings.TrimSpace(text)
		got, err := Parse(text)
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", text, got, err, want)
		}
		if again, err := Parse(want.String()); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: read again it is %+v, %v", text, again, err)
		}
	}
}

func TestParseSeveral(t *testing.T) {
	rules, err := Parse(" delay=0s..5s,rate=0.5,path=/driver/;; status=502,rate=0.3,method=GET; ")
	if err != nil || len(rules) != 2 || rules[0].Kind != Delay || rules[1].Kind != Status || rules[1].Method != "GET" {
		t.Errorf("got %+v, %v", rules, err)
	}
	for _, none := range []string{"", " ", ";", " ; ;"} {
		if rules, err := Parse(none); err != nil || len(rules) != 0 {
			t.Errorf("%q: got %+v, %v", none, rules, err)
		}
	}
}

// The error of a bad rule names the rule, the field and what the value must be.
func TestParseErrors(t *testing.T) {
	const kinds = "delay, status, reset, hang, truncate, slow, capacity, idle, crash"
	for text, want := range map[string]string{
		"rate=0.5":                              "rule 1 (rate=0.5): kind: missing: must be delay, status, reset, hang, truncate, slow, capacity, idle or crash",
		"status=500;path=/x":                    "rule 2 (path=/x): kind: missing: must be ",
		"statu=5;rate=2":                        `rule 1 (statu=5): "statu": must be one of ` + kinds + `, retry-after, queue, rate, over, method, path, header, after, for, every, count; rule 2 (rate=2): rate: "2": must be `,
		"reset,rate=2,count=0":                  `rule 1 (reset,rate=2,count=0): rate: "2": must be a share from 0 to 1, or a range such as 0..1; rule 1 (reset,rate=2,count=0): count: "0": must be `,
		"boom":                                  `rule 1 (boom): "boom": must be one of ` + kinds,
		"Reset":                                 `rule 1 (Reset): "Reset": must be one of ` + kinds,
		"reset,":                                `rule 1 (reset,): "": must be one of `,
		"reset, ,rate=1":                        `"": must be one of `,
		"status=502,reset":                      "rule 1 (status=502,reset): reset: second kind after status: must be in a rule of its own (separate rules by ;)",
		"delay=1s,delay=2s":                     "delay: given twice: must be given once",
		"reset,rate=1,rate=0":                   "rate: given twice: must be given once",
		"delay":                                 ": must be a duration above 0s such as 2s, or a range such as 0s..5s, shortest first, at most 24h",
		"delay=5":                               ": must be a duration",
		"delay=0s":                              ": must be a duration",
		"delay=-1s":                             ": must be a duration",
		"delay=25h":                             ": must be a duration",
		"delay=5s..1s":                          ": must be a duration",
		"delay=1s..":                            ": must be a duration",
		"delay=..1s":                            ": must be a duration",
		"delay=0s..0s":                          ": must be a duration",
		"delay=1s..2s..3s":                      ": must be a duration",
		"status":                                ": must be an HTTP status from 200 to 599",
		"status=":                               ": must be an HTTP status",
		"status=199":                            ": must be an HTTP status",
		"status=600":                            ": must be an HTTP status",
		"status=5xx":                            ": must be an HTTP status",
		"reset=1":                               ": must be no value",
		"reset=":                                ": must be no value",
		"hang=5s":                               ": must be no value",
		"crash=now":                             ": must be no value",
		"truncate=":                             ": must be no value, or the bytes to keep",
		"truncate=-1":                           ": must be no value, or the bytes",
		"truncate=9999999999":                   ": must be no value, or the bytes",
		"truncate=half":                         ": must be no value, or the bytes",
		"slow":                                  ": must be bytes per second, at least 1",
		"slow=0":                                ": must be bytes per second",
		"slow=9999999999":                       ": must be bytes per second",
		"status=503,retry-after=1500ms":         ": must be whole seconds such as 3s",
		"status=503,retry-after=0s":             ": must be whole seconds",
		"delay=1s,retry-after=1s":               "retry-after: with delay: must be with status",
		"reset,rate":                            ": must be a share from 0 to 1, or a range such as 0..1",
		"reset,rate=0..":                        ": must be a share from 0 to 1, or a range",
		"reset,rate=0..2,for=1s":                ": must be a share from 0 to 1, or a range",
		"reset,rate=2..1,for=1s":                ": must be a share from 0 to 1, or a range",
		"reset,rate=-1..1,for=1s":               ": must be a share from 0 to 1, or a range",
		"reset,rate=1..-1,for=1s":               ": must be a share from 0 to 1, or a range",
		"reset,rate=0..NaN,for=1s":              ": must be a share from 0 to 1, or a range",
		"reset,rate=0..1":                       "rate: a range: must have over, or for, in which the rate changes",
		"reset,rate=0.5,over=1s":                "over: with one rate: must be with a range such as rate=0..1",
		"reset,over=1s":                         "over: with one rate: must be with a range",
		"reset,rate=0..1,over=0s":               ": must be a duration above 0s, at most 24h, such as 10s",
		"capacity":                              ": must be requests per second, from 0.001 to 100000",
		"capacity=0":                            ": must be requests per second",
		"capacity=100001":                       ": must be requests per second",
		"capacity=-1":                           ": must be requests per second",
		"capacity=NaN":                          ": must be requests per second",
		"capacity=1e9":                          ": must be requests per second",
		"capacity=10,queue":                     ": must be a whole number from 0",
		"capacity=10,queue=-1":                  ": must be a whole number from 0",
		"capacity=10,queue=9999999999":          ": must be a whole number from 0",
		"capacity=10,queue=1.5":                 ": must be a whole number from 0",
		"reset,queue=1":                         "queue: with reset: must be with capacity",
		"capacity=1,idle=1s":                    "idle: second kind after capacity: must be in a rule of its own",
		"idle":                                  ": must be a duration from 0s to 24h, such as 5s",
		"reset;connect=refuse":                  `rule 2 (connect=refuse): connect: "refuse": must be set by fleetman fault`,
		"idle=5":                                ": must be a duration from 0s to 24h, such as 5s",
		"idle=25h":                              ": must be a duration from 0s to 24h, such as 5s",
		"reset,rate=50%":                        ": must be a share",
		"reset,rate=1.01":                       ": must be a share",
		"reset,rate=-0.1":                       ": must be a share",
		"reset,rate=NaN":                        ": must be a share",
		"reset,method":                          ": must be an HTTP method",
		"reset,method=get":                      ": must be an HTTP method",
		"reset,path=driver":                     ": must be what a path begins with, escaped, without a query and without //, such as /driver/City%20Truck",
		"reset,path=/driver/City Truck":         ": must be what a path begins with, escaped",
		"reset,path=/driver?x":                  ": must be what a path begins with, escaped, without a query and without //",
		"reset,path=//driver":                   ": must be what a path begins with, escaped, without a query and without //",
		"reset,path=/%zz":                       ": must be what a path begins with, escaped, without a query and without //",
		"reset,path=/Zoë":                       ": must be what a path begins with, escaped",
		"reset,method=HEAD":                     ": must be an HTTP method other than HEAD",
		"reset,header=host:x":                   ": must be Name:value, of a header other than Host",
		"reset,path":                            ": must be what a path begins with",
		"reset,header=X-User":                   ": must be Name:value",
		"reset,header=:jason":                   ": must be Name:value",
		"reset,header=X User:jason":             ": must be Name:value",
		"reset,header=a\tb:jason":               ": must be Name:value",
		"reset,after=soon":                      ": must be a duration from 0s to 24h, such as 10s",
		"reset,for=0s":                          ": must be a duration above 0s, at most 24h, such as 10s",
		"reset,every=0s,for=1s":                 ": must be a duration above 0s, at most 24h, such as 1m",
		"reset,every=1m":                        "every: 1m0s: must be longer than for, which must be set",
		"reset,every=1m,for=1m":                 "every: 1m0s: must be longer than for, which must be set",
		"reset,count=0":                         ": must be a whole number from 1",
		"reset,count=1e3":                       ": must be a whole number",
		"status=1;" + strings.Repeat("x", 1000): "rule 1 (status=1): status: ",
	} {
		rules, err := Parse(text)
		if err == nil || rules != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.50s: got %+v, %v, want %s", text, rules, err, want)
		}
	}
	if _, err := Parse(strings.Repeat("é", 1000)); err == nil || len(err.Error()) > 1000 || !strings.HasPrefix(err.Error(), "rule 1 (é") {
		t.Errorf("a long rule: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "delay=0s..5s,rate=0.5,path=/driver/;status=502,rate=0.3,method=GET", "status=503,retry-after=3s,count=2",
		"reset;hang;crash;truncate;truncate=3;slow=100", "reset,after=1s,for=2s,every=3s", "reset,header=X-User:jason",
		"reset,rate=NaN", "delay=1s..", "capacity=0.5,queue=0;capacity=100", "idle=0s", "status=503,rate=0..0.5,over=1m,for=2m", ";;,,==", "reset,path=/\x00\xff", "delay=9223372036854775807ns", "reset,header=\n:x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Parse(text)
		if err != nil {
			if rules != nil || !strings.HasPrefix(err.Error(), "rule ") {
				t.Fatalf("got %v, %v", rules, err)
			}
			return
		}
		var texts []string
		for _, r := range rules {
			texts = append(texts, r.String())
			if r.Kind == "" || r.Rate < 0 || r.Rate > 1 || r.RateEnd < 0 || r.RateEnd > 1 || r.Rate != r.RateEnd && r.Over <= 0 || r.Queue < 0 || r.Least > r.Most || r.Most > maxDuration || r.Kind == Slow && r.Bytes < 1 {
				t.Fatalf("read %+v", r)
			}
		}
		again, err := Parse(strings.Join(texts, ";"))
		if err != nil || !reflect.DeepEqual(again, rules) {
			t.Fatalf("read again: %+v, %v\nwant %+v", again, err, rules)
		}
		s := NewSet(1, rules, time.Now)
		s.Decide(httptest.NewRequest("GET", "/driver/x", nil))
	})
}

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		rule, method, target, header string
		want                         bool
	}{
		{"reset", "GET", "/", "", true},
		{"reset,method=GET", "GET", "/", "", true},
		{"reset,method=GET", "POST", "/", "", false},
		{"reset,path=/driver/", "GET", "/driver/City%20Truck", "", true},
		{"reset,path=/driver/City%20", "GET", "/driver/City%20Truck", "", true},
		{"reset,path=/driver/", "GET", "/drivers", "", false},
		{"reset,path=/vehicles/", "POST", "/vehicles/", "", true},
		{"reset,path=/vehicles/", "POST", "/vehicles", "", true}, // without the final slash, which the router removes
		{"reset,path=/vehicles", "POST", "/vehicles/A", "", true},
		{"reset,path=/a%2Fb", "GET", "/a%2Fb", "", true},
		{"reset,path=/a/b", "GET", "/a%2Fb", "", false},
		{"reset,header=x-user:jason", "GET", "/", "jason", true},
		{"reset,header=x-user:jason", "GET", "/", "jasons", false},
		{"reset,header=x-user:another", "GET", "/", "jason", true}, // the second value
		{"reset,header=x-user:", "GET", "/", "anyone", true},
		{"reset,header=x-user:", "GET", "/", "", false},
		{"reset,method=GET,path=/x,header=x-user:jason", "GET", "/x", "jason", true},
		{"reset,method=GET,path=/x,header=x-user:jason", "GET", "/y", "jason", false},
	} {
		rule := rules(t, tc.rule)[0]
		r := httptest.NewRequest(tc.method, tc.target, nil)
		if tc.header != "" {
			r.Header["X-User"] = []string{tc.header, "another"}
		}
		if got := rule.matches(r); got != tc.want {
			t.Errorf("%s on %s %s (%s): got %t", tc.rule, tc.method, tc.target, tc.header, got)
		}
	}
}

func TestRateAt(t *testing.T) {
	for text, want := range map[string][5]float64{ // 0, 1, 2, 4 and 100 s after the window's opening
		"reset,rate=0.3":                 {.3, .3, .3, .3, .3},
		"reset,rate=0..1,over=4s":        {0, .25, .5, 1, 1},
		"reset,rate=0.9..0.1,over=4s":    {.9, .7, .5, .1, .1},
		"reset,rate=0..0.5,for=2s":       {0, .25, .5, .5, .5},
		"reset,rate=0..1,for=9s,over=2s": {0, .5, 1, 1, 1},
	} {
		rule := rules(t, text)[0]
		for i, after := range []time.Duration{0, 1, 2, 4, 100} {
			if got := rule.rateAt(after * time.Second); math.Abs(got-want[i]) > 1e-9 {
				t.Errorf("%s after %d s: got %g, want %g", text, after, got, want[i])
			}
		}
	}
}

func request(method, target string) *http.Request { return httptest.NewRequest(method, target, nil) }
