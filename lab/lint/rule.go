package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Severity is how grave a finding is.
type Severity string

// The severities. Only errors make the exit code 1.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Rule is one kind of mistake.
type Rule struct {
	// Number and Name identify the rule: either is accepted in a mark.
	Number   int
	Name     string
	Severity Severity
	// Finds is what the rule finds, in one line.
	Finds string
	// Reason is why that is a mistake.
	Reason string
	// Source is where the mesh or the library documents it.
	Source string
	// Report is where someone made the mistake in public; "" for none.
	Report string

	check func(*pass)
	// proof shows a finding by an experiment; nil if there is none.
	proof proof
	// dump reports whether the configuration of a proxy is the proof.
	dump bool
	// NoProof is which findings no experiment shows, and why; "" if all are shown.
	NoProof string
}

// Rules returns all rules, in the order of their numbers.
func Rules() []*Rule { return rules }

var rules = []*Rule{
	neverOpens, ejectsForCallees, panicUndoes, gatewayErrors, triesDoNotFit,
	givesUpFirst, retriesTwice, unsafeRetry, noBudget, ejectsItself,
	faultBesideRetries, notSeen, smallPool, replaces, ejectionBesideBalancing,
	lateSweep, retryWords, warmup, keepAlive, neverReceived,
	libraryLimits, lostHeader, twoForOneHost,
}

// RuleOf returns the rule of a number or a name, or nil.
func RuleOf(name string) *Rule {
	return first(rules, func(r *Rule) bool { return r.Name == name || strconv.Itoa(r.Number) == name })
}

// Finding is one mistake in the manifests.
type Finding struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Rule is the number of a rule, the code of a message of istioctl analyze, or
	// "ignore" for a bad mark.
	Rule     string   `json:"rule"`
	Name     string   `json:"name"`
	Severity Severity `json:"severity"`
	// Object is the object that has the mistake: "DestinationRule staff".
	Object  string `json:"object,omitempty"`
	Message string `json:"message"`
	// Instead is what to write instead.
	Instead string `json:"instead,omitempty"`
	// Ignored is the reason of the mark that declares the finding intended.
	Ignored string `json:"ignored,omitempty"`
	// By is the tool that found it: fleetman, or istioctl analyze.
	By string `json:"by"`
}

// Options are what the manifests do not say.
type Options struct {
	// Rate is the requests per second that one caller sends to each service it
	// calls. 0: the findings that depend on it are left out.
	Rate float64
	// Latency is how long a request takes. Defaults to 100 ms.
	Latency time.Duration
	// Fault is how long the fault of interest lasts. Defaults to 15 s, the default
	// of an experiment.
	Fault time.Duration
	// Calls are calls that no variable NAME_URL says, by workload: hosts.
	Calls map[string][]string
}

// Defaults of Options.
const (
	DefaultLatency = 100 * time.Millisecond
	DefaultFault   = 15 * time.Second
)

func (o Options) withDefaults() Options {
	o.Latency, o.Fault = cmp.Or(o.Latency, DefaultLatency), cmp.Or(o.Fault, DefaultFault)
	return o
}

// pass is one rule's look at a model.
type pass struct {
	*model
	Options
	rule    *Rule
	sources *sources
	about   subject
	found   []sighting
}

// sighting is a finding, the field that it is at, and what it is about.
type sighting struct {
	finding Finding
	at      value
	subject
}

// subject is what a finding is about, for its proof.
type subject struct {
	edge   *edge  // nil for a finding about an object alone
	behind *edge  // the call behind the edge, if that is the slow one
	which  string // distinguishes the findings of a rule
}

// report adds a finding with the rule's severity.
func (p *pass) report(at value, instead, format string, args ...any) {
	p.reportAs(p.rule.Severity, at, instead, format, args...)
}

// reportAs adds a finding; one with the same words at the same line only once.
func (p *pass) reportAs(severity Severity, at value, instead, format string, args ...any) {
	where := p.sources.locate(at)
	f := Finding{
		File: where.file, Line: where.line, Rule: strconv.Itoa(p.rule.Number), Name: p.rule.Name, Severity: severity,
		Object: at.object.Ref(), Message: fmt.Sprintf(format, args...), Instead: instead, By: "fleetman",
	}
	if !slices.ContainsFunc(p.found, func(other sighting) bool { return other.finding == f }) {
		p.found = append(p.found, sighting{f, at, p.about})
	}
}

// or returns the value, or the one that stands for it when it is missing.
func (v value) or(other value) value {
	if v.has() {
		return v
	}
	return other
}
