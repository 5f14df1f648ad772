package golden

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"fleetman.example/kit/server/servertest"
)

// The recordings, in the order in which they were made. Each system kept its state between files.
var (
	systems = []string{"head", "t6"}
	files   = []string{"telemetry", "staff", "tracker", "gateway"}
)

// Prepare makes a service's upstreams answer as they did when calls[i] was recorded. It is called
// before each call of a file, including those of other services.
type Prepare func(calls []Call, i int)

// Replay sends every recorded call of a service (the first word of a call's name). It fails the test for
// an answer that neither equals the original's nor has an intended difference from it, and for an intended
// difference, in the service's testdata/differences.txt or in everywhere.txt, that no answer has. start is
// called for each version of the original and starts a service without state; prepare may be nil.
//
// Two answers are equal if their statuses, relevant headers and bodies are equal. Times are ignored, and so
// is the order of a list if the recording declares that it varies. Speeds may differ by a millionth (see the
// recordings' README). Of an error, only the status, its name and the path are compared: head has no
// message and t6 has Java's. Each of our errors must have the contract's five fields.
func Replay(t testing.TB, service string, start func() (url string, prepare Prepare)) {
	t.Helper()
	own := servertest.Must(os.ReadFile("testdata/differences.txt"))
	replay(t, service, start, append(differences(t, string(own)), differences(t, everywhere)...))
}

func replay(t testing.TB, service string, start func() (url string, prepare Prepare), table []*difference) {
	t.Helper()
	for _, system := range systems {
		url, prepare := start()
		replayed := 0
		for _, file := range files {
			calls := load(t, system+"/"+file+".json")
			for i, c := range calls {
				if prepare != nil {
					prepare(calls, i)
				}
				if !strings.HasPrefix(c.Name, service+" ") {
					continue
				}
				replayed++
				compare(t, system+" "+c.Name, c, c.send(t, url), table)
			}
		}
		if replayed == 0 {
			t.Errorf("%s has no calls of %s", system, service)
		}
	}
	for _, d := range table {
		if d.used == 0 {
			t.Errorf("no call has the difference: %s", d.text)
		}
	}
}

// everywhere has the differences of all services.
//
//go:embed everywhere.txt
var everywhere string

// difference is an intended difference between the original's answers and ours. An answer is written as
// "STATUS headers body", the body of an error as "STATUS name path".
type difference struct {
	text     string
	calls    *regexp.Regexp // names of calls; "head " or "t6 " before it limits it to one version of the original
	original *regexp.Regexp // beginning of the original's answer
	ours     string         // expression of the beginning of our answer; $1 is the first group of original
	used     int
}

var differenceLines = regexp.MustCompile("^Calls: (.+)\nOriginal: (.+)\nOurs: (.+)\nReason: .+$")

// differences parses a file of differences, which has a paragraph for each. A paragraph that begins with # is
// a comment.
func differences(t testing.TB, text string) (table []*difference) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(part, "#") {
			continue
		}
		lines := differenceLines.FindStringSubmatch(part)
		if lines == nil {
			t.Fatalf("difference: %s: must be the lines Calls, Original, Ours and Reason", part)
		}
		table = append(table, &difference{
			text: part, calls: pattern("^(?:(?:head|t6) )?(?:" + lines[1] + ")$"), original: pattern("^(?:" + lines[2] + ")"), ours: lines[3],
		})
	}
	return table
}

// pattern compiles an expression in which a dot matches a newline too.
func pattern(expression string) *regexp.Regexp {
	return regexp.MustCompile("(?s)" + expression)
}

// explains reports whether d is the difference between the answers to a call.
func (d *difference) explains(name, original, ours string) bool {
	matched := d.original.FindStringSubmatch(original)
	if matched == nil || !d.calls.MatchString(name) {
		return false
	}
	want := d.ours
	if len(matched) > 1 {
		want = strings.ReplaceAll(want, "$1", regexp.QuoteMeta(matched[1]))
	}
	return pattern("^(?:" + want + ")").MatchString(ours)
}

func compare(t testing.TB, name string, c Call, ours servertest.Answer, table []*difference) {
	t.Helper()
	if problem := shape(ours); problem != "" && ours.Status >= 400 && c.Request.Method != http.MethodHead && !netHTTP(ours) {
		t.Errorf("%s: an error without the contract's shape: %s: %s", name, problem, ours.Body)
	}
	original := c.recorded()
	want, got := c.text(original), c.text(ours)
	if want == got || c.line(original) == c.line(ours) && sameSpeed(original.Body, ours.Body) {
		return
	}
	for _, d := range table {
		if d.explains(name, want, got) {
			d.used++
			return
		}
	}
	t.Errorf("%s: %s %.80s\n got %.400s\nwant %.400s", name, c.Request.Method, c.Request.Target, got, want)
}

// recorded returns the original's answer.
func (c Call) recorded() servertest.Answer {
	a := servertest.Answer{Status: c.Status, Header: http.Header{}, Body: c.Body}
	for _, h := range c.Headers {
		a.Header.Add(h[0], h[1])
	}
	return a
}

// send sends the call byte for byte as it was recorded, which net/http's client does not.
func (c Call) send(t testing.TB, url string) servertest.Answer {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", c.Request.Method, c.Request.Target)
	length := 0
	for _, h := range c.Request.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
		if h[0] == "Content-Length" {
			length, _ = strconv.Atoi(h[1])
		}
	}
	b.WriteString("\r\n")
	if c.Request.Body != nil {
		b.WriteString(bodyBytes(*c.Request.Body, length))
	}
	return servertest.Raw(t, url, b.String())
}

// bodyBytes returns the bytes that were sent for a recorded body. The recording is UTF-8; if length is its
// number of characters, the body was sent as Latin-1.
func bodyBytes(body string, length int) string {
	if len(body) == length || utf8.RuneCountInString(body) != length {
		return body
	}
	b := make([]byte, 0, length)
	for _, r := range body {
		b = append(b, byte(r))
	}
	return string(b)
}

// text returns the whole answer with the varying parts masked.
func (c Call) text(a servertest.Answer) string {
	if body := masked(a.Body, c); body != "" {
		return c.line(a) + " " + body
	}
	return c.line(a)
}

// relevant are the headers that are compared. Others (Date, Connection, Transfer-Encoding, Vary, …)
// depend on the server's implementation.
var relevant = []string{
	"Content-Type", "Allow",
	"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age",
}

// line returns the status and the relevant headers. A charset of application/json is ignored: JSON is
// UTF-8. So are the order of methods in Allow, HEAD and OPTIONS there, and Access-Control headers of an
// answer to a request without Origin.
func (c Call) line(a servertest.Answer) string {
	parts := []string{strconv.Itoa(a.Status)}
	for _, name := range relevant {
		value := strings.Join(a.Header.Values(name), ",")
		switch {
		case name == "Content-Type" && strings.HasPrefix(value, "application/json;"):
			value = "application/json"
		case strings.HasPrefix(name, "Access-Control-") && !c.hasHeader("Origin"):
			value = ""
		case name == "Allow":
			methods := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
			methods = slices.DeleteFunc(methods, func(m string) bool { return m == "HEAD" || m == "OPTIONS" })
			slices.Sort(methods)
			value = strings.Join(methods, ",")
		}
		if value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	return strings.Join(parts, " ")
}

func (c Call) hasHeader(header string) bool {
	return slices.ContainsFunc(c.Request.Headers, func(h [2]string) bool { return h[0] == header })
}

var (
	instant = regexp.MustCompile(`"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000"`)
	date    = regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d UTC \d{4}`)
)

// masked returns a body without its varying parts. Of an error it has the status, its name and the path.
func masked(body string, c Call) string {
	if e, ok := asError(body); ok {
		return fmt.Sprintf("%v %v %v", e["status"], e["error"], e["path"])
	}
	body = instant.ReplaceAllString(body, `"timestamp":"…"`)
	body = date.ReplaceAllString(body, "…")
	unordered := func(varies string) bool { return strings.HasPrefix(varies, "order") }
	var list []json.RawMessage
	if !slices.ContainsFunc(c.Varies, unordered) || json.Unmarshal([]byte(body), &list) != nil {
		return body
	}
	elements := make([]string, len(list))
	for i, element := range list {
		elements[i] = string(element)
	}
	slices.Sort(elements)
	return "[" + strings.Join(elements, ",") + "]"
}

// asError decodes a body that has the fields status and error.
func asError(body string) (map[string]any, bool) {
	var e map[string]any
	if json.Unmarshal([]byte(body), &e) != nil || e["status"] == nil || e["error"] == nil {
		return nil, false
	}
	return e, true
}

var errorShape = regexp.MustCompile(`^\{"timestamp":"[^"]{23}\+0000","status":\d{3},"error":"[A-Za-z ]+","message":".+","path":".*"\}$`)

// shape returns how an error differs from the contract. It returns "" if it does not.
func shape(a servertest.Answer) string {
	e, _ := asError(a.Body)
	switch {
	case !errorShape.MatchString(a.Body) || !instant.MatchString(a.Body):
		return "must have the five fields"
	case e["status"] != float64(a.Status):
		return fmt.Sprintf("status: %v: must be %d", e["status"], a.Status)
	case a.Header.Get("Content-Type") != "application/json":
		return fmt.Sprintf("Content-Type: %q: must be application/json", a.Header.Get("Content-Type"))
	}
	return ""
}

// netHTTP reports whether net/http gave an answer before a handler was called: see everywhere.txt, bad escape.
func netHTTP(a servertest.Answer) bool {
	return strings.HasPrefix(a.Body, "400 Bad Request") && strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain")
}

// sameSpeed reports whether two bodies are numbers that differ by at most a millionth.
func sameSpeed(a, b string) bool {
	x, err := strconv.ParseFloat(a, 64)
	y, other := strconv.ParseFloat(b, 64)
	return err == nil && other == nil && math.Abs(x-y) <= 1e-6*math.Max(math.Abs(x), math.Abs(y))
}
