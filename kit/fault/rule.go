package fault

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
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
	Crash    Kind = "crash"
)

// Kinds lists all kinds.
var Kinds = []Kind{Delay, Status, Reset, Hang, Truncate, Slow, Crash}

// Rule is one fault and the requests that meet it.
type Rule struct {
	Kind       Kind
	Least      time.Duration // shortest delay
	Most       time.Duration // longest delay
	Status     int
	RetryAfter time.Duration // with Status; 0: no header
	Bytes      int64         // Truncate: bytes kept; Slow: bytes per second

	Rate              float64 // share of the matching requests, from 0 to 1
	Method, Path      string  // empty: any
	Header, Value     string  // Header empty: any request; Value empty: any value
	After, For, Every time.Duration
	Count             int64 // 0: no limit

	text string // as parsed
}

// String returns the text that r was parsed from.
func (r Rule) String() string { return r.text }

// longest is the longest duration in a rule.
const longest = 24 * time.Hour

// Parse parses rules separated by ";". It returns no rules for an empty text. An error names the rule,
// counted from 1, and the field.
func Parse(text string) ([]Rule, error) {
	var rules []Rule
	for part := range strings.SplitSeq(text, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		r, err := parseRule(part)
		if err != nil {
			return nil, fmt.Errorf("rule %d (%.100s): %w", len(rules)+1, part, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseRule(text string) (Rule, error) {
	r := Rule{Rate: 1, text: text}
	seen := make(map[string]bool)
	for field := range strings.SplitSeq(text, ",") {
		name, value, hasValue := strings.Cut(strings.TrimSpace(field), "=")
		read, ok := fields[name]
		if !ok {
			return r, fmt.Errorf("%.100q: must be one of delay, status, reset, hang, truncate, slow, crash, retry-after, rate, method, path, header, after, for, every, count", name)
		}
		if seen[name] {
			return r, fmt.Errorf("%s: given twice: must be given once", name)
		}
		seen[name] = true
		if read.kind != "" {
			if r.Kind != "" {
				return r, fmt.Errorf("%s: second kind after %s: must be in a rule of its own (separate rules by ;)", name, r.Kind)
			}
			r.Kind = read.kind
		}
		if !read.set(&r, value, hasValue) {
			return r, fmt.Errorf("%s: %.100q: must be %s", name, value, read.must)
		}
	}
	switch {
	case r.Kind == "":
		return r, errors.New("kind: missing: must be delay, status, reset, hang, truncate, slow or crash")
	case r.RetryAfter != 0 && r.Kind != Status:
		return r, fmt.Errorf("retry-after: with %s: must be with status", r.Kind)
	case r.Every != 0 && (r.For == 0 || r.For >= r.Every):
		return r, fmt.Errorf("every: %s: must be longer than for, which must be set", r.Every)
	}
	return r, nil
}

// field describes a field of a rule.
type field struct {
	kind Kind   // of a field that is a kind; empty: a condition
	must string // what the value must be, for errors
	// set parses value into r and reports whether it is valid. hasValue is false without a "=".
	set func(r *Rule, value string, hasValue bool) bool
}

var fields = map[string]field{
	"delay":    {Delay, "a duration such as 2s, or a range such as 0s..5s", setDelay},
	"status":   {Status, "an HTTP status from 200 to 599", setStatus},
	"reset":    {Reset, "no value", setNothing},
	"hang":     {Hang, "no value", setNothing},
	"crash":    {Crash, "no value", setNothing},
	"truncate": {Truncate, "no value, or the bytes to keep", setTruncate},
	"slow":     {Slow, "bytes per second, at least 1", setSlow},
	"retry-after": {"", "whole seconds such as 3s", func(r *Rule, v string, _ bool) bool {
		return setDuration(&r.RetryAfter, v) && r.RetryAfter%time.Second == 0 && r.RetryAfter > 0
	}},
	"rate":   {"", "a share from 0 to 1", setRate},
	"method": {"", "an HTTP method other than HEAD, which is answered as GET", setMethod},
	"path":   {"", "what a path begins with, escaped and without a query, such as /driver/City%20Truck", setPath},
	"header": {"", "Name:value, of a header other than Host", setHeader},
	"after":  {"", "a duration such as 10s", func(r *Rule, v string, _ bool) bool { return setDuration(&r.After, v) }},
	"for":    {"", "a duration such as 10s", func(r *Rule, v string, _ bool) bool { return setDuration(&r.For, v) && r.For > 0 }},
	"every":  {"", "a duration such as 1m", func(r *Rule, v string, _ bool) bool { return setDuration(&r.Every, v) && r.Every > 0 }},
	"count":  {"", "a whole number from 1", setCount},
}

func setNothing(_ *Rule, _ string, hasValue bool) bool { return !hasValue }

func setDuration(d *time.Duration, text string) bool {
	v, err := time.ParseDuration(text)
	*d = v
	return err == nil && v >= 0 && v <= longest
}

func setDelay(r *Rule, value string, _ bool) bool {
	least, most, isRange := strings.Cut(value, "..")
	if !isRange {
		most = least
	}
	return setDuration(&r.Least, least) && setDuration(&r.Most, most) && r.Least <= r.Most && r.Most > 0
}

func setStatus(r *Rule, value string, _ bool) (ok bool) {
	var err error
	r.Status, err = strconv.Atoi(value)
	return err == nil && r.Status >= http.StatusOK && r.Status <= 599
}

func setTruncate(r *Rule, value string, hasValue bool) bool {
	return !hasValue || setBytes(r, value, 0)
}

func setSlow(r *Rule, value string, _ bool) bool { return setBytes(r, value, 1) }

func setBytes(r *Rule, value string, least int64) bool {
	var err error
	r.Bytes, err = strconv.ParseInt(value, 10, 64)
	return err == nil && r.Bytes >= least && r.Bytes <= math.MaxInt32
}

func setRate(r *Rule, value string, _ bool) bool {
	var err error
	r.Rate, err = strconv.ParseFloat(value, 64)
	return err == nil && r.Rate >= 0 && r.Rate <= 1
}

func setMethod(r *Rule, value string, _ bool) bool {
	r.Method = value
	return value != "" && value != http.MethodHead && strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// setPath accepts a prefix of an escaped path in the router's canonical form.
func setPath(r *Rule, value string, _ bool) bool {
	r.Path = value
	if _, err := url.PathUnescape(value); err != nil {
		return false
	}
	return strings.HasPrefix(value, "/") && !strings.Contains(value, "//") && !strings.ContainsFunc(value, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`?#"<>^`+"`{|}", c)
	})
}

func setHeader(r *Rule, value string, _ bool) bool {
	name, want, ok := strings.Cut(value, ":")
	r.Header, r.Value = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(want)
	return ok && r.Header != "" && r.Header != "Host" && strings.Trim(r.Header, token) == ""
}

// token has the characters of a header's name (RFC 9110, section 5.6.2).
const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func setCount(r *Rule, value string, _ bool) bool {
	var err error
	r.Count, err = strconv.ParseInt(value, 10, 64)
	return err == nil && r.Count > 0
}

// matches reports whether req meets the rule, a time since after the rule was set.
func (r *Rule) matches(req *http.Request, since time.Duration) bool {
	if r.Method != "" && r.Method != req.Method {
		return false
	}
	if r.Path != "" && !strings.HasPrefix(req.URL.EscapedPath()+"/", r.Path) { // the router removes the final slash
		return false
	}
	if r.Header != "" {
		values := req.Header.Values(r.Header)
		if len(values) == 0 || r.Value != "" && !slices.Contains(values, r.Value) {
			return false
		}
	}
	since -= r.After
	if since < 0 {
		return false
	}
	if r.Every > 0 {
		since %= r.Every
	}
	return r.For == 0 || since < r.For
}
