package fault

import (
	"math"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field describes a field of a rule.
type field struct {
	name string
	must string // what the value must be, for errors
	// set parses value into r and reports whether it is valid. hasValue is false without a "=".
	set func(r *Rule, value string, hasValue bool) bool
}

var fields = slices.Concat(kinds, conditions)

// kinds are the fields whose names are a Kind.
var kinds = []field{
	{"delay", "a duration above 0s such as 2s, or a range such as 0s..5s, shortest first, at most 24h", setDelay},
	{"status", "an HTTP status from 200 to 599", setStatus},
	{"reset", "no value", setNothing},
	{"hang", "no value", setNothing},
	{"truncate", "no value, or the bytes to keep, from 0 to 2147483647", func(r *Rule, v string, hasValue bool) bool { return !hasValue || setInt(&r.Bytes, v, 0, math.MaxInt32) }},
	{"slow", "bytes per second, at least 1", func(r *Rule, v string, _ bool) bool { return setInt(&r.Bytes, v, 1, math.MaxInt32) }},
	{"capacity", "requests per second, from 0.001 to 100000", func(r *Rule, v string, _ bool) bool { return setFloat(&r.PerSecond, v, 0.001, 100_000) }},
	{"idle", "a duration from 0s to 24h, such as 5s", func(r *Rule, v string, _ bool) bool { return setDuration(&r.Idle, v) }},
	{"crash", "no value", setNothing},
}

// conditions are the other fields.
var conditions = []field{
	{"retry-after", "whole seconds such as 3s", func(r *Rule, v string, _ bool) bool {
		return setDuration(&r.RetryAfter, v) && r.RetryAfter%time.Second == 0 && r.RetryAfter > 0
	}},
	{"queue", "a whole number from 0", func(r *Rule, v string, _ bool) bool { return setInt(&r.Queue, v, 0, math.MaxInt32) }},
	{"rate", "a share from 0 to 1, or a range such as 0..1", setRate},
	{"over", "a duration above 0s, at most 24h, such as 10s", func(r *Rule, v string, _ bool) bool { return setDuration(&r.Over, v) && r.Over > 0 }},
	{"method", "an HTTP method other than HEAD, which is answered as GET", setMethod},
	{"path", "what a path begins with, escaped, without a query and without //, such as /driver/City%20Truck", setPath},
	{"header", "Name:value, of a header other than Host", setHeader},
	{"after", "a duration from 0s to 24h, such as 10s", func(r *Rule, v string, _ bool) bool { return setDuration(&r.After, v) }},
	{"for", "a duration above 0s, at most 24h, such as 10s", func(r *Rule, v string, _ bool) bool { return setDuration(&r.For, v) && r.For > 0 }},
	{"every", "a duration above 0s, at most 24h, such as 1m", func(r *Rule, v string, _ bool) bool { return setDuration(&r.Every, v) && r.Every > 0 }},
	{"count", "a whole number from 1", func(r *Rule, v string, _ bool) bool { return setInt(&r.Count, v, 1, math.MaxInt64) }},
}

func setNothing(_ *Rule, _ string, hasValue bool) bool { return !hasValue }

func setDuration(d *time.Duration, text string) bool {
	v, err := time.ParseDuration(text)
	*d = v
	return err == nil && v >= 0 && v <= maxDuration
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

func setInt(n *int64, text string, least, most int64) bool {
	v, err := strconv.ParseInt(text, 10, 64)
	*n = v
	return err == nil && v >= least && v <= most
}

func setFloat(f *float64, text string, least, most float64) bool {
	v, err := strconv.ParseFloat(text, 64)
	*f = v
	return err == nil && v >= least && v <= most
}

func setRate(r *Rule, value string, _ bool) bool {
	first, last, isRange := strings.Cut(value, "..")
	if !isRange {
		last = first
	}
	return setFloat(&r.Rate, first, 0, 1) && setFloat(&r.RateEnd, last, 0, 1)
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
