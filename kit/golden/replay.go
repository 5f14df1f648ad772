package golden

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The recordings, in the order in which they were made. Each system kept its state between files.
var (
	systems = []string{"head", "t6"}
	files   = []string{"telemetry", "staff", "tracker", "gateway"}
)

// Difference is an intended difference between the original's answers and ours:
//
//	0  regular expression of the calls' names; "head " or "t6 " before it limits it to one version of
//	   the original
//	1  regular expression of the beginning of the original's answer
//	2  regular expression of the beginning of our answer; $1 is the first group of 1
//	3  the reason
//
// An answer is written as "STATUS headers body", the body of an error as "STATUS name path".
type Difference [4]string

// Prepare makes a service's upstreams answer as they did when calls[i] was recorded. It is called
// before each call of a file, including those of other services.
type Prepare func(calls []Call, i int)

// Replay sends every recorded call of a service (the first word of a call's name). It fails the test for
// an answer that is neither equal to the original's nor in table, and for a row of table that no answer
// needs. start is called for each version of the original and starts a service without state; prepare
// may be nil.
//
// Two answers are equal if their statuses, relevant headers and bodies are equal. Times, and the order
// where the recording declares that it varies, are ignored. Speeds may differ by a millionth (see the
// recordings' README). Of an error, only the status, its name and the path are compared: head has no
// message and t6 has Java's. Each of our errors must have the contract's five fields.
func Replay(t testing.TB, service string, start func() (url string, prepare Prepare), table []Difference) {
	t.Helper()
	rows := make([]*row, len(table))
	for i, d := range table {
		rows[i] = newRow(t, d)
	}
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
				compare(t, system+" "+c.Name, recorded(c), c.make(t, url), c, rows)
			}
		}
		if replayed == 0 {
			t.Errorf("%s has no calls of %s", system, service)
		}
	}
	for i, r := range rows {
		if d := table[i]; r.used == 0 {
			t.Errorf("no call needs the row: %s: %s, not %s", d[0], d[2], d[1])
		}
	}
}

// Everywhere has the differences of all services, which arise before a service's own handlers.
var Everywhere = []Difference{
	{".* nothing there, Accept html .*", "404 Content-Type=text/html.*Whitelabel", "404 Content-Type=application/json 404 Not Found /nosuch$", "errors have one shape, JSON"},
	{".* known path, TRACE", "405 Content-Type=message/http", "405 Content-Type=application/json Allow=GET 405 Method Not Allowed", "errors have one shape, JSON"},
	{".* encoded slash", "400 Content-Type=text/html.*HTTP Status 400", "400 Content-Type=application/json 400 Bad Request", "errors have one shape, JSON"},
	{".* bad escape", "400 Content-Type=text/html.*HTTP Status 400", "400 Content-Type=text/plain; charset=utf-8 400 Bad Request$", "net/http answers what is not an HTTP request"},
	{".* /error", "500 Content-Type=application/json 999 None", "404 Content-Type=application/json 404 Not Found /error$", "no pages of Spring's own"},
	{"t6 .* favicon", "200 Content-Type=image/x-icon", "404 Content-Type=application/json 404 Not Found /favicon.ico$", "no pages of Spring's own"},
	{".* known path, Accept .*", `406|200 Content-Type=application/(?:xhtml\+)?xml <\?xml`, `200 Content-Type=application/json [^<]`, "answers are JSON, whatever the Accept header is"},
	{"head .* known path, (?:trailing|doubled leading) slash", "404 ", "200 Content-Type=application/json ", "an extra slash reaches the same handler"},
	{".* semicolon", "200 ", "404 Content-Type=application/json 404 Not Found .*(?:;|%3B)a=b$|200$", "a semicolon is part of the name"},
	{"t6 .* dot segments", "200 ", "404 Content-Type=application/json 404 Not Found /x/", "no path is rewritten"},
}

type row struct {
	calls, original *regexp.Regexp
	ours            string
	used            int
}

func newRow(t testing.TB, d Difference) *row {
	if d[3] == "" {
		t.Errorf("no reason for %s", d[0])
	}
	return &row{calls: pattern(t, "^(?:(?:head|t6) )?(?:"+d[0]+")$"), original: pattern(t, "^(?:"+d[1]+")"), ours: d[2]}
}

// pattern compiles an expression in which a dot matches a newline too.
func pattern(t testing.TB, expression string) *regexp.Regexp {
	t.Helper()
	r, err := regexp.Compile("(?s)" + expression)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// matches reports whether the row explains the difference between the answers to a call.
func (r *row) matches(t testing.TB, name, original, ours string) bool {
	matched := r.original.FindStringSubmatch(original)
	if matched == nil || !r.calls.MatchString(name) {
		return false
	}
	want := r.ours
	if len(matched) > 1 {
		want = strings.ReplaceAll(want, "$1", regexp.QuoteMeta(matched[1]))
	}
	return pattern(t, "^(?:"+want+")").MatchString(ours)
}

func compare(t testing.TB, name string, original, ours answer, c Call, rows []*row) {
	t.Helper()
	if ours.status >= 400 && c.Request.Method != http.MethodHead {
		if problem := ours.shape(); problem != "" && !netHTTP(ours) {
			t.Errorf("%s: an error without the contract's shape: %s: %s", name, problem, ours.body)
		}
	}
	want, got := original.text(c), ours.text(c)
	if want == got || original.line(c) == ours.line(c) && sameSpeed(original.body, ours.body) {
		return
	}
	for _, r := range rows {
		if r.matches(t, name, want, got) {
			r.used++
			return
		}
	}
	t.Errorf("%s: %s %.80s\n got %.400s\nwant %.400s", name, c.Request.Method, c.Request.Target, got, want)
}

// answer is an HTTP answer with its whole body.
type answer struct {
	status int
	header http.Header
	body   string
}

func recorded(c Call) answer {
	a := answer{c.Status, http.Header{}, c.Body}
	for _, h := range c.Headers {
		a.header.Add(h[0], h[1])
	}
	return a
}

// make sends the call byte for byte as it was recorded, which net/http's client does not.
func (c Call) make(t testing.TB, url string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute)) // never fails on a TCP connection
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
		b.WriteString(sent(*c.Request.Body, length))
	}
	if _, err := io.WriteString(conn, b.String()); err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: c.Request.Method})
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: read answer: %v", c.Name, err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// sent returns the bytes that were sent for a recorded body. The recording is UTF-8; if length is its
// number of characters, the body was sent as Latin-1.
func sent(body string, length int) string {
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
func (a answer) text(c Call) string {
	return strings.TrimSpace(a.line(c) + " " + masked(a.body, c))
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
func (a answer) line(c Call) string {
	parts := []string{strconv.Itoa(a.status)}
	for _, name := range relevant {
		value := strings.Join(a.header.Values(name), ",")
		switch {
		case name == "Content-Type" && strings.HasPrefix(value, "application/json;"):
			value = "application/json"
		case strings.HasPrefix(name, "Access-Control-") && !c.sends("Origin"):
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

func (c Call) sends(header string) bool {
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

// shape returns what is wrong with an error's body by the contract; empty: nothing.
func (a answer) shape() string {
	e, _ := asError(a.body)
	switch {
	case !errorShape.MatchString(a.body) || !instant.MatchString(a.body):
		return "must have the five fields"
	case e["status"] != float64(a.status):
		return fmt.Sprintf("status %d", a.status)
	case a.header.Get("Content-Type") != "application/json":
		return a.header.Get("Content-Type")
	}
	return ""
}

// netHTTP reports whether net/http gave an answer before a handler was called: see the README.
func netHTTP(a answer) bool {
	return strings.HasPrefix(a.body, "400 Bad Request") && strings.HasPrefix(a.header.Get("Content-Type"), "text/plain")
}

// sameSpeed reports whether two bodies are numbers that differ by at most a millionth.
func sameSpeed(a, b string) bool {
	x, err := strconv.ParseFloat(a, 64)
	y, other := strconv.ParseFloat(b, 64)
	return err == nil && other == nil && math.Abs(x-y) <= 1e-6*math.Max(math.Abs(x), math.Abs(y))
}
