package faults

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"fleetman.example/lab/local"
)

// field is one field of a rule: what its value must be, and whether it is. A nil
// valid refuses any value.
type field struct {
	name, must string
	valid      func(value string) bool
}

// fields are those of the services' rules. The service checks how they fit
// together; a mistake in one is found here before a fleet has started.
var fields = []field{
	{"delay", "a duration above 0s such as 2s, or a range such as 0s..5s, shortest first, at most 24h", isRange(isDuration(0))},
	{"status", "an HTTP status from 200 to 599", isNumber(200, 599, true)},
	{"reset", "no value", nil},
	{"hang", "no value", nil},
	{"truncate", "no value, or the bytes to keep, from 0 to 2147483647", isNumber(0, 1<<31-1, true)},
	{"slow", "bytes per second, at least 1", isNumber(1, 1<<31-1, true)},
	{"capacity", "requests per second, from 0.001 to 100000", isNumber(0.001, 100_000, false)},
	{"idle", "a duration from 0s to 24h, such as 5s", isDuration(0)},
	{"crash", "no value", nil},
	{"retry-after", "whole seconds such as 3s", isDuration(time.Second)},
	{"queue", "a whole number from 0", isNumber(0, 1<<31-1, true)},
	{"rate", "a share from 0 to 1, or a range such as 0..1", isRange(isNumber(0, 1, false))},
	{"over", "a duration above 0s, at most 24h, such as 10s", isDuration(1)},
	{"method", "an HTTP method other than HEAD, which is answered as GET", regexp.MustCompile(`^[A-Z]+$`).MatchString},
	{"path", "what a path begins with, escaped, without a query and without //, such as /driver/City%20Truck", regexp.MustCompile(`^/[^ ?#]*$`).MatchString},
	{"header", "Name:value, of a header other than Host", regexp.MustCompile(`^[^:]+:`).MatchString},
	{"after", "a duration from 0s to 24h, such as 10s", isDuration(0)},
	{"for", "a duration above 0s, at most 24h, such as 10s", isDuration(1)},
	{"every", "a duration above 0s, at most 24h, such as 1m", isDuration(1)},
	{"count", "a whole number from 1", isNumber(1, 1<<53, true)},
}

func isDuration(least time.Duration) func(string) bool {
	return func(text string) bool {
		d, err := time.ParseDuration(text)
		return err == nil && d >= least && d <= 24*time.Hour
	}
}

func isNumber(least, most float64, whole bool) func(string) bool {
	return func(text string) bool {
		n, err := strconv.ParseFloat(text, 64)
		return err == nil && n >= least && n <= most && (!whole || !strings.ContainsAny(text, ".eExXpP_"))
	}
}

func isRange(valid func(string) bool) func(string) bool {
	return func(text string) bool {
		first, last, between := strings.Cut(text, "..")
		return valid(first) && (!between || valid(last))
	}
}

// CheckRules returns the mistakes in the fields of rules, of requests and of
// connections, separated by ";". Empty ones are ignored, as by the services, but there must be another.
func CheckRules(rules string) (mistakes []error) {
	n := 0
	for rule := range strings.SplitSeq(rules, ";") {
		if rule = strings.TrimSpace(rule); rule == "" {
			continue
		}
		n++
		wrong := func(err error) {
			mistakes = append(mistakes, fmt.Errorf("rule %d (%.100s): %w", n, rule, err))
		}
		if local.IsConnect(rule) {
			if _, err := local.ParseConnect(rule); err != nil {
				wrong(err)
			}
			continue
		}
		for part := range strings.SplitSeq(rule, ",") {
			if err := checkField(strings.TrimSpace(part)); err != nil {
				wrong(err)
			}
		}
	}
	if n == 0 {
		return []error{fmt.Errorf("%.100q: must be rules, such as status=502", rules)}
	}
	return mistakes
}

func checkField(text string) error {
	name, value, hasValue := strings.Cut(text, "=")
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
	if i < 0 {
		var names []string
		for _, f := range fields {
			names = append(names, f.name)
		}
		return fmt.Errorf("%.100q: must be one of %s", name, strings.Join(names, ", "))
	}
	f := fields[i]
	switch {
	case f.valid == nil && !hasValue, f.name == "truncate" && !hasValue:
		return nil
	case f.valid != nil && f.valid(value):
		return nil
	}
	return fmt.Errorf("%s: %.100q: must be %s", name, value, f.must)
}
