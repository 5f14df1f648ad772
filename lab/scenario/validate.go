package scenario

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxRequests bounds one check, so that a typo does not run for a day.
const maxRequests = 100_000

// Validate finds what cannot be checked, and bounds that nothing can break.
// The first error names the promise and the field.
func (f *File) Validate() error {
	if len(f.Promises) == 0 {
		return fmt.Errorf("promises: empty; one at least is expected")
	}
	seen := map[string]bool{}
	for i, p := range f.Promises {
		if err := p.validate(); err != nil {
			return fmt.Errorf("promises[%d]%w", i, err)
		}
		if seen[p.Promise] {
			return fmt.Errorf("promises[%d].promise: there are two of %q", i, p.Promise)
		}
		seen[p.Promise] = true
	}
	return nil
}

func (p *Promise) validate() error {
	if strings.TrimSpace(p.Promise) == "" || strings.ContainsAny(p.Promise, "\n\r") {
		return fmt.Errorf(".promise: %q; a sentence in one line is expected", p.Promise)
	}
	if len(p.Checks) == 0 {
		return fmt.Errorf(".checks: empty; one at least is expected")
	}
	if !slices.ContainsFunc(p.Checks, func(c Check) bool { return !c.Guard }) {
		return fmt.Errorf(".checks: all are guards; one at least that the control breaks is expected")
	}
	for i := range p.Checks {
		if err := p.Checks[i].validate(); err != nil {
			return fmt.Errorf(".checks[%d]%w", i, err)
		}
	}
	return p.Control.validate()
}

var objectForm = regexp.MustCompile(`^[A-Z][A-Za-z]* [a-z0-9][a-z0-9./-]*$`)

func (c *Control) validate() error {
	kinds := 0
	for _, set := range []bool{len(c.Without) > 0, c.With != "", len(c.Set) > 0, c.Scenario != ""} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf(".control: %d of without, with, set and scenario; exactly one is expected: a promise that nothing breaks proves nothing", kinds)
	}
	for i, what := range c.Without {
		if what != "rules" && what != "sidecars" && !objectForm.MatchString(what) {
			return fmt.Errorf(`.control.without[%d]: %.60q; rules, sidecars, or an object such as "ServiceEntry driver-monitoring" is expected`, i, what)
		}
	}
	if c.With != "" && c.With != filepath.Base(c.With) {
		return fmt.Errorf(".control.with: %.60q; the name of a file beside expect.yaml is expected", c.With)
	}
	if strings.HasPrefix(c.Scenario, "/") || strings.Contains(c.Scenario, "..") {
		return fmt.Errorf(".control.scenario: %.60q; a directory below k8s/scenarios, such as mtls-strict, is expected", c.Scenario)
	}
	return nil
}

func (c *Check) validate() error {
	if err := c.Requests.validate(); err != nil {
		return fmt.Errorf(".requests%w", err)
	}
	for i, a := range c.Actions {
		if a.Workload == "" || a.Faults == "" {
			return fmt.Errorf(".actions[%d]: workload and faults are expected", i)
		}
	}
	if len(c.Expect) == 0 {
		return fmt.Errorf(".expect: empty; one at least is expected")
	}
	for i := range c.Expect {
		if err := c.Expect[i].validate(c); err != nil {
			return fmt.Errorf(".expect[%d]%w", i, err)
		}
	}
	return nil
}

var methodForm = regexp.MustCompile(`^[A-Z]*$`)

func (r *Requests) validate() error { //nolint:gocyclo // a flat list of bounds
	target, err := url.ParseRequestURI(r.Path)
	switch {
	case r.From == Origin{}:
		return fmt.Errorf(".from: missing; ingress, nodePort:PORT or workload:DEPLOYMENT is expected")
	case err != nil || !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, " #") || target.Host != "":
		return fmt.Errorf(".path: %.80q; an escaped path such as /driver/City%%20Truck is expected", r.Path)
	case !methodForm.MatchString(r.Method):
		return fmt.Errorf(".method: %.20q; a method such as GET is expected", r.Method)
	case r.Count < 1 || r.Count > maxRequests:
		return fmt.Errorf(".count: %d; 1 to %d is expected", r.Count, maxRequests)
	case r.Concurrency < 0 || r.Concurrency > 1000:
		return fmt.Errorf(".concurrency: %d; 1 to 1000 is expected", r.Concurrency)
	case math.IsNaN(r.Rate) || r.Rate < 0 || r.Rate > 10_000:
		return fmt.Errorf(".rate: %v; more than 0, and at most 10000 a second, is expected", r.Rate)
	case r.Rate > 0 && r.Concurrency > 0:
		return fmt.Errorf(".rate: there is a concurrency too; one of the two is expected")
	case r.EachHeader != nil && r.EachSource != 0:
		return fmt.Errorf(".eachSource: there is an eachHeader too; one of the two is expected")
	case r.Host != "" && !httpguts.ValidHostHeader(r.Host):
		return fmt.Errorf(".host: %.80q; a host such as fleetman.localhost is expected", r.Host)
	}
	if err := r.validateTo(); err != nil {
		return err
	}
	for name, value := range r.Headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf(".headers: %.60q: %.60q; a header is expected", name, value)
		}
	}
	if r.EachHeader != nil {
		if !httpguts.ValidHeaderFieldName(r.EachHeader.Name) {
			return fmt.Errorf(".eachHeader.name: %.60q; the name of a header is expected", r.EachHeader.Name)
		}
		if r.EachHeader.Values < 2 || r.EachHeader.Values*2 > r.Count {
			return fmt.Errorf(".eachHeader.values: %d; 2 at least, and two requests for each, are expected", r.EachHeader.Values)
		}
	}
	if r.EachSource != 0 && (r.EachSource < 2 || r.EachSource > 250 || r.EachSource*2 > r.Count) {
		return fmt.Errorf(".eachSource: %d; 2 to 250, and two requests for each, are expected", r.EachSource)
	}
	return nil
}

func (r *Requests) validateTo() error {
	if r.From.Workload == "" {
		if r.To != "" {
			return fmt.Errorf(".to: %.60q; only a workload chooses whom it calls", r.To)
		}
		return nil
	}
	host, text, err := net.SplitHostPort(r.To)
	if err != nil {
		return fmt.Errorf(".to: %.60q; host:port is expected of a workload's call", r.To)
	}
	if port, err := strconv.Atoi(text); err != nil || port < 1 || port > 65535 || !httpguts.ValidHostHeader(host) || host == "" {
		return fmt.Errorf(".to: %.60q; host:port is expected of a workload's call", r.To)
	}
	return nil
}

// keys is how many values EachHeader has, or how many sources there are.
func (r *Requests) keys() int {
	if r.EachHeader != nil {
		return r.EachHeader.Values
	}
	return r.EachSource
}

func (e *Expect) validate(c *Check) error { //nolint:gocyclo // a flat list of bounds
	kinds := 0
	for _, set := range []bool{e.Answers != nil, e.Received != nil, e.Consistent != nil, e.Distinct != nil, e.Settles != nil, e.Recovers != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf(": %d of answers, received, consistent, distinct, settles and recovers; exactly one is expected", kinds)
	}
	switch {
	case e.Settles != nil:
		if s := e.Settles; s.Run < 1 || s.AfterAtMost < 0 || s.Run+s.AfterAtMost > c.Requests.Count {
			return fmt.Errorf(".settles: %d others and then %d good ones do not fit into %d requests", s.AfterAtMost, s.Run, c.Requests.Count)
		}
		if s := e.Settles; s.LastsAtMost.Duration > 0 && s.LastsAtMost.Duration <= s.LastsAtLeast.Duration {
			return fmt.Errorf(".settles: lastsAtLeast %v leaves nothing below lastsAtMost %v", s.LastsAtLeast, s.LastsAtMost)
		}
		return e.without(".settles", e.Settles.Good)
	case e.Recovers != nil:
		if len(c.Actions) == 0 {
			return fmt.Errorf(".recovers: no actions to recover from")
		}
		if r := e.Recovers; r.Run < 1 || r.Run > c.Requests.Count || r.Within.Duration <= 0 {
			return fmt.Errorf(".recovers: run %d, within %v; 1 to %d, and a time, are expected", r.Run, r.Within, c.Requests.Count)
		}
		return e.without(".recovers", e.Recovers.Good)
	case e.Count == nil:
		return fmt.Errorf(".count: missing; all, none, or bounds are expected")
	case e.Consistent != nil && c.Requests.keys() == 0:
		return fmt.Errorf(".consistent: the requests have neither eachHeader nor eachSource to compare by")
	case (e.Consistent != nil && e.Consistent.Capture.Regexp == nil) || (e.Distinct != nil && e.Distinct.Capture.Regexp == nil):
		return fmt.Errorf(": capture is missing; a regular expression is expected")
	case e.Received != nil && len(e.Received.By) == 0:
		return fmt.Errorf(".received.by: missing; Deployments are expected")
	case e.Answers != nil:
		if err := e.Answers.validate(); err != nil {
			return fmt.Errorf(".answers: %w", err)
		}
	}
	return e.validateCount(&c.Requests)
}

// without is for the two that have bounds of their own.
func (e *Expect) without(field string, good Answer) error {
	if e.Count != nil {
		return fmt.Errorf(".count: %s has its own bounds", field[1:])
	}
	if err := good.validate(); err != nil {
		return fmt.Errorf("%s.good: %w", field, err)
	}
	return nil
}

func (a *Answer) validate() error {
	rest := len(a.Status) > 0 || a.Body != nil || len(a.Header) > 0 || a.FasterThan.Duration > 0 || a.SlowerThan.Duration > 0
	if rest == a.Reset {
		return fmt.Errorf("some of status, body, header, fasterThan and slowerThan, or reset alone, are expected")
	}
	if a.FasterThan.Duration > 0 && a.SlowerThan.Duration >= a.FasterThan.Duration {
		return fmt.Errorf("slowerThan %v and fasterThan %v leave nothing between them", a.SlowerThan, a.FasterThan)
	}
	return nil
}

// validateCount refuses bounds that no observation can break.
func (e *Expect) validateCount(r *Requests) error {
	n, c := r.Count, e.Count
	if e.Consistent != nil {
		n = r.keys()
	}
	if err := c.validate(); err != nil {
		return err
	}
	open := e.Received != nil || e.Distinct != nil // they may exceed the number of requests
	low, high := c.Range(n)
	switch {
	case c.PerRequest != nil && e.Received == nil:
		return fmt.Errorf(".count.perRequest: only calls that were received are counted for each request")
	case !open && low > n:
		return fmt.Errorf(".count: at least %d of %d", low, n)
	case low > high:
		return fmt.Errorf(".count: from %d to %d", low, high)
	case low <= 0 && (high == math.MaxInt || (!open && high >= n)):
		return fmt.Errorf(".count: every number of %d passes, from %d on; bounds that can be broken are expected", n, low)
	}
	return nil
}

func (c *Count) validate() error { //nolint:gocyclo // a flat list of bounds
	given := 0
	for _, set := range []bool{c.All, c.None, c.AtLeast != nil || c.AtMost != nil, c.PerRequest != nil, c.Share != nil, c.ShareAtLeast != nil, c.ShareAtMost != nil} {
		if set {
			given++
		}
	}
	if given != 1 {
		return fmt.Errorf(".count: all, none, or one of atLeast with atMost, perRequest, share, shareAtLeast and shareAtMost is expected")
	}
	for _, number := range []*int{c.AtLeast, c.AtMost, c.PerRequest} {
		if number != nil && (*number < 0 || *number > 100*maxRequests) {
			return fmt.Errorf(".count: %d; 0 to %d is expected", *number, 100*maxRequests)
		}
	}
	isShare := false
	for _, share := range []*float64{c.Share, c.ShareAtLeast, c.ShareAtMost} {
		if share == nil {
			continue
		}
		isShare = true
		if !(*share >= 0 && *share <= 1) {
			return fmt.Errorf(".count: a share of %v; 0 to 1 is expected", *share)
		}
	}
	if isShare && !(c.Confidence >= 0.9 && c.Confidence < 1) {
		return fmt.Errorf(".count.confidence: %v; with a share, 0.9 up to below 1 is expected", c.Confidence)
	}
	if !isShare && c.Confidence != 0 {
		return fmt.Errorf(".count.confidence: only a share has one")
	}
	return nil
}
