package fault

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Kind is what a fault does.
type Kind string

// The kinds of faults.
const (
	Delay    Kind = "delay"
	Status   Kind = "status"
	Reset    Kind = "reset"
	Hang     Kind = "hang"
	Truncate Kind = "truncate"
	Slow     Kind = "slow"
	Capacity Kind = "capacity"
	Idle     Kind = "idle"
	Crash    Kind = "crash"
)

// Rule is one fault and the requests that meet it.
type Rule struct {
	Kind       Kind
	Least      time.Duration // shortest delay
	Most       time.Duration // longest delay
	Status     int
	RetryAfter time.Duration // with Status; 0: no header
	Bytes      int64         // Truncate: bytes kept; Slow: bytes per second
	PerSecond  float64       // Capacity: requests per second
	Queue      int64         // Capacity: the most requests that wait
	Idle       time.Duration // until an idle connection is closed

	Rate              float64       // share of the matching requests, from 0 to 1
	RateEnd           float64       // the share after Over
	Over              time.Duration // in which the share changes, from the window's opening; 0: never
	Method, Path      string        // empty: any
	Header, Value     string        // Header empty: any request; Value empty: any value
	After, For, Every time.Duration
	Count             int64 // 0: no limit

	text string // as parsed
}

// String returns the text that r was parsed from.
func (r Rule) String() string { return r.text }

// maxDuration is the maximum of all durations in a rule.
const maxDuration = 24 * time.Hour

// maxMistakes is the maximum number of mistakes that an error lists.
const maxMistakes = 10

// Parse parses rules separated by ";". It returns no rules for an empty text. An error lists the first 10
// mistakes, each with the rule, counted from 1, and the field.
func Parse(text string) ([]Rule, error) {
	var rules []Rule
	var mistakes []string
	for part := range strings.SplitSeq(text, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		r, errs := parseRule(part)
		rules = append(rules, r)
		for _, err := range errs {
			mistakes = append(mistakes, fmt.Sprintf("rule %d (%.100s): %v", len(rules), part, err))
		}
	}
	if more := len(mistakes) - maxMistakes; more > 0 {
		mistakes = append(mistakes[:maxMistakes], fmt.Sprintf("and %d more", more))
	}
	if len(mistakes) > 0 {
		return nil, errors.New(strings.Join(mistakes, "; "))
	}
	return rules, nil
}

// parseRule parses one rule and returns all its mistakes.
func parseRule(text string) (r Rule, mistakes []error) {
	r = Rule{Rate: 1, RateEnd: 1, Queue: unset, text: text}
	seen := make(map[string]bool)
	for field := range strings.SplitSeq(text, ",") {
		name, value, hasValue := strings.Cut(strings.TrimSpace(field), "=")
		if seen[name] {
			mistakes = append(mistakes, fmt.Errorf("%.100s: given twice: must be given once", name))
			continue
		}
		seen[name] = true
		if err := r.setField(name, value, hasValue); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	if len(mistakes) == 0 {
		if err := r.complete(); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	return r, mistakes
}

// setField sets one field of a rule.
func (r *Rule) setField(name, value string, hasValue bool) error {
	if name == "connect" {
		return fmt.Errorf("connect: %.100q: must be set by fleetman fault, in a fleet of fleetman up --relays: it is a fault below HTTP", value)
	}
	at := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
	if at < 0 {
		return fmt.Errorf("%.100q: must be one of %s", name, strings.Join(names(fields), ", "))
	}
	read := fields[at]
	if at < len(kinds) {
		if r.Kind != "" {
			return fmt.Errorf("%s: second kind after %s: must be in a rule of its own (separate rules by ;)", name, r.Kind)
		}
		r.Kind = Kind(name)
	}
	if !read.set(r, value, hasValue) {
		return fmt.Errorf("%s: %.100q: must be %s", name, value, read.must)
	}
	return nil
}

// unset is a Queue that no field has set.
const unset = -1

// complete checks that the fields fit together, and sets the defaults of Over and Queue, which depend on
// other fields.
func (r *Rule) complete() error { //nolint:gocyclo // a flat list of bounds
	changes := r.Rate != r.RateEnd
	switch {
	case r.Kind == "":
		last := len(kinds) - 1
		return fmt.Errorf("kind: missing: must be %s or %s", strings.Join(names(kinds[:last]), ", "), kinds[last].name)
	case r.RetryAfter != 0 && r.Kind != Status:
		return fmt.Errorf("retry-after: with %s: must be with status", r.Kind)
	case r.Queue != unset && r.Kind != Capacity:
		return fmt.Errorf("queue: with %s: must be with capacity", r.Kind)
	case r.Every != 0 && (r.For == 0 || r.For >= r.Every):
		return fmt.Errorf("every: %s: must be longer than for, which must be set", r.Every)
	case changes && r.Over == 0 && r.For == 0:
		return errors.New("rate: a range: must have over, or for, in which the rate changes")
	case !changes && r.Over != 0:
		return errors.New("over: with one rate: must be with a range such as rate=0..1")
	}
	if changes && r.Over == 0 {
		r.Over = r.For
	}
	if r.Queue == unset {
		r.Queue = int64(math.Ceil(r.PerSecond))
	}
	return nil
}

func names(of []field) (names []string) {
	for _, f := range of {
		names = append(names, f.name)
	}
	return names
}

// matches reports whether the method, the path and the headers of req are those of the rule.
func (r *Rule) matches(req *http.Request) bool {
	if r.Method != "" && r.Method != req.Method {
		return false
	}
	if r.Path != "" && !strings.HasPrefix(req.URL.EscapedPath()+"/", r.Path) { // the router removes the final slash
		return false
	}
	if r.Header != "" {
		values := req.Header.Values(r.Header)
		return len(values) > 0 && (r.Value == "" || slices.Contains(values, r.Value))
	}
	return true
}

// open reports whether the rule's window is open at the time since, which counts from when the rule was set.
// It also returns how long the window has been open.
func (r *Rule) open(since time.Duration) (opened time.Duration, open bool) {
	if opened = since - r.After; opened < 0 {
		return 0, false
	}
	if r.Every > 0 {
		opened %= r.Every
	}
	return opened, r.For == 0 || opened < r.For
}

// rateAt returns the rule's rate at a time after its window has opened.
func (r *Rule) rateAt(opened time.Duration) float64 {
	if r.Over == 0 {
		return r.Rate
	}
	return r.Rate + (r.RateEnd-r.Rate)*min(opened.Seconds()/r.Over.Seconds(), 1)
}
