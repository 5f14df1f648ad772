package scenario

import (
	"errors"
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
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxRequests bounds a check's number of requests, so that a typing error does not run for a day.
const maxRequests = 100_000

// Validate returns an error, with the promise and the field, for a promise that cannot be checked and for
// bounds that every observation meets.
func (f *File) Validate() error {
	if len(f.Promises) == 0 {
		return errors.New("promises: empty: must have at least one")
	}
	seen := map[string]bool{}
	for i, p := range f.Promises {
		if err := p.validate(); err != nil {
			return fmt.Errorf("promises[%d]%w", i, err)
		}
		if seen[p.Promise] {
			return fmt.Errorf("promises[%d].promise: %q: must be unique", i, p.Promise)
		}
		seen[p.Promise] = true
	}
	return nil
}

func (p *Promise) validate() error {
	if strings.TrimSpace(p.Promise) == "" || strings.ContainsAny(p.Promise, "\n\r") {
		return fmt.Errorf(".promise: %q: must be a sentence in one line", p.Promise)
	}
	if len(p.Checks) == 0 {
		return errors.New(".checks: empty: must have at least one")
	}
	if !slices.ContainsFunc(p.Checks, func(c Check) bool { return !c.Guard }) {
		return errors.New(".checks: all are guards: must have at least one that the control breaks")
	}
	for i := range p.Checks {
		if err := p.Checks[i].validate(); err != nil {
			return fmt.Errorf(".checks[%d]%w", i, err)
		}
	}
	return p.Control.validate()
}

// trues returns how many of the conditions hold.
func trues(conditions ...bool) (n int) {
	for _, holds := range conditions {
		if holds {
			n++
		}
	}
	return n
}

var objectForm = regexp.MustCompile(`^[A-Z][A-Za-z]* [a-z0-9][a-z0-9./-]*$`)

func (c *Control) validate() error {
	kinds := trues(len(c.Without) > 0, c.With != "", len(c.Set) > 0, c.Scenario != "")
	if kinds != 1 {
		return fmt.Errorf(".control: %d of without, with, set and scenario: must be exactly one: a promise that no control breaks proves nothing", kinds)
	}
	for i, what := range c.Without {
		if what != "rules" && what != "sidecars" && !objectForm.MatchString(what) {
			return fmt.Errorf(`.control.without[%d]: %.60q: must be rules, sidecars, or an object such as "ServiceEntry driver-monitoring"`, i, what)
		}
	}
	if c.With != "" && c.With != filepath.Base(c.With) {
		return fmt.Errorf(".control.with: %.60q: must be the name of a file beside expect.yaml", c.With)
	}
	if strings.HasPrefix(c.Scenario, "/") || strings.Contains(c.Scenario, "..") {
		return fmt.Errorf(".control.scenario: %.60q: must be a directory below k8s/scenarios, such as mtls-strict", c.Scenario)
	}
	return nil
}

func (c *Check) validate() error {
	if err := c.Requests.validate(); err != nil {
		return fmt.Errorf(".requests%w", err)
	}
	for i, a := range c.Actions {
		if a.Workload == "" || (a.Faults != "") == a.Kill {
			return fmt.Errorf(".actions[%d]: must have workload, and either faults or kill", i)
		}
	}
	if len(c.Expect) == 0 {
		return errors.New(".expect: empty: must have at least one")
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
		return errors.New(".from: missing: must be ingress, nodePort:PORT or workload:DEPLOYMENT")
	case err != nil || !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, " #") || target.Host != "":
		return fmt.Errorf(".path: %.80q: must be an escaped path such as /driver/City%%20Truck", r.Path)
	case !methodForm.MatchString(r.Method):
		return fmt.Errorf(".method: %.20q: must be a method such as GET", r.Method)
	case r.Count < 1 || r.Count > maxRequests:
		return fmt.Errorf(".count: %d: must be between 1 and %d", r.Count, maxRequests)
	case r.Concurrency < 0 || r.Concurrency > 1000:
		return fmt.Errorf(".concurrency: %d: must be between 1 and 1000", r.Concurrency)
	case math.IsNaN(r.Rate) || r.Rate < 0 || r.Rate > 10_000:
		return fmt.Errorf(".rate: %v: must be more than 0 and at most 10000 requests per second", r.Rate)
	case r.Rate > 0 && r.Concurrency > 0:
		return fmt.Errorf(".rate: %v: must be unset with concurrency", r.Rate)
	case r.Bearer != "" && r.Bearer != filepath.Base(r.Bearer):
		return fmt.Errorf(".bearer: %.60q: must be the name of a file beside expect.yaml", r.Bearer)
	case r.Host != "" && !httpguts.ValidHostHeader(r.Host):
		return fmt.Errorf(".host: %.80q: must be a host such as fleetman.localhost", r.Host)
	}
	if err := r.validateTo(); err != nil {
		return err
	}
	for name, value := range r.Headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf(".headers: %.60q: %.60q: must be a valid header", name, value)
		}
	}
	return r.validateKeys()
}

// validateKeys validates what differs from request to request.
func (r *Requests) validateKeys() error {
	if r.EachHeader != nil {
		switch {
		case r.EachSource != 0:
			return fmt.Errorf(".eachSource: %d: must be unset with eachHeader", r.EachSource)
		case r.EachVisitor != 0:
			return fmt.Errorf(".eachVisitor: %d: must be unset with eachHeader", r.EachVisitor)
		}
		if !httpguts.ValidHeaderFieldName(r.EachHeader.Name) {
			return fmt.Errorf(".eachHeader.name: %.60q: must be the name of a header", r.EachHeader.Name)
		}
		if r.EachHeader.Values < 2 || r.EachHeader.Values*2 > r.Count {
			return fmt.Errorf(".eachHeader.values: %d: must be at least 2 and at most half of count", r.EachHeader.Values)
		}
	}
	if r.EachSource != 0 && (r.EachSource < 2 || r.EachSource > 250 || r.EachSource*2 > r.Count) {
		return fmt.Errorf(".eachSource: %d: must be between 2 and 250, and at most half of count", r.EachSource)
	}
	if r.EachVisitor != 0 && (r.EachSource != 0 || r.EachVisitor < 2 || r.EachVisitor*2 > r.Count) {
		return fmt.Errorf(".eachVisitor: %d: must be at least 2 and at most half of count, and unset with eachSource", r.EachVisitor)
	}
	return nil
}

func (r *Requests) validateTo() error {
	if r.From.Workload == "" {
		if r.To != "" {
			return fmt.Errorf(".to: %.60q: must be unset unless from is a workload", r.To)
		}
		return nil
	}
	host, text, err := net.SplitHostPort(r.To)
	if err != nil {
		return fmt.Errorf(".to: %.60q: must be the host:port that the workload calls", r.To)
	}
	if port, err := strconv.Atoi(text); err != nil || port < 1 || port > 65535 || !httpguts.ValidHostHeader(host) || host == "" {
		return fmt.Errorf(".to: %.60q: must be the host:port that the workload calls", r.To)
	}
	return nil
}

// keys returns the number of EachHeader's values, of sources or of visitors.
func (r *Requests) keys() int {
	if r.EachHeader != nil {
		return r.EachHeader.Values
	}
	return max(r.EachSource, r.EachVisitor)
}

func (e *Expect) validate(c *Check) error { //nolint:gocyclo // a flat list of bounds
	kinds := trues(e.Answers != nil, e.Received != nil, e.Consistent != nil, e.Distinct != nil, e.Settles != nil, e.Recovers != nil, e.Returns != nil, e.Proxies != nil)
	if kinds != 1 {
		return fmt.Errorf(": %d of answers, received, consistent, distinct, settles, recovers, returns and proxies: must be exactly one", kinds)
	}
	switch {
	case e.Settles != nil:
		if s := e.Settles; s.Run < 1 || s.AfterAtMost < 0 || s.Run+s.AfterAtMost > c.Requests.Count {
			return fmt.Errorf(".settles: afterAtMost %d and run %d: must be at least 0 and 1, and at most %d requests together", s.AfterAtMost, s.Run, c.Requests.Count)
		}
		if s := e.Settles; s.LastsAtMost.Duration > 0 && s.LastsAtMost.Duration <= s.LastsAtLeast.Duration {
			return fmt.Errorf(".settles: lastsAtLeast %v: must be less than lastsAtMost %v", s.LastsAtLeast, s.LastsAtMost)
		}
		return e.without("settles", "good", e.Settles.Good)
	case e.Recovers != nil:
		if len(c.Actions) == 0 {
			return errors.New(".recovers: must be unset without actions")
		}
		if r := e.Recovers; r.Run < 1 || r.Run > c.Requests.Count || r.Within.Duration <= 0 {
			return fmt.Errorf(".recovers: run %d, within %v: must be between 1 and %d, and more than 0", r.Run, r.Within, c.Requests.Count)
		}
		return e.without("recovers", "good", e.Recovers.Good)
	case e.Returns != nil:
		if len(c.Actions) == 0 {
			return errors.New(".returns: must be unset without actions")
		}
		if err := e.Returns.validate(); err != nil {
			return fmt.Errorf(".returns%w", err)
		}
		return e.without("returns", "replica", e.Returns.Replica)
	case e.Count == nil:
		return errors.New(".count: missing: must be all, none, or bounds")
	case e.Consistent != nil && c.Requests.keys() == 0:
		return errors.New(".consistent: must be unset unless the requests have eachHeader, eachSource or eachVisitor")
	case (e.Consistent != nil && e.Consistent.Capture.Regexp == nil) || (e.Distinct != nil && e.Distinct.Capture.Regexp == nil):
		return errors.New(": capture: missing: must be a regular expression")
	case e.Proxies != nil:
		return e.Proxies.validate(e.Count)
	case e.Received != nil && len(e.Received.By) == 0:
		return errors.New(".received.by: missing: must be a list of Deployments")
	case e.Answers != nil:
		if err := e.Answers.validate(); err != nil {
			return fmt.Errorf(".answers: %w", err)
		}
	}
	return e.validateCount(&c.Requests)
}

func (p *Proxies) validate(c *Count) error {
	switch {
	case len(p.Of) == 0:
		return errors.New(".proxies.of: missing: must be a list of Deployments")
	case len(validation.IsDNS1123Label(p.Revision)) > 0:
		return fmt.Errorf(".proxies.revision: %.80q: must be the name of a revision, such as default", p.Revision)
	}
	if err := c.validate(); err != nil {
		return err
	}
	if !c.All && !c.None {
		return errors.New(".count: must be all or none with proxies")
	}
	return nil
}

// without validates settles, recovers or returns, which have bounds of their own and no count.
func (e *Expect) without(kind, field string, matching Answer) error {
	if e.Count != nil {
		return fmt.Errorf(".count: must be unset with %s", kind)
	}
	if err := matching.validate(); err != nil {
		return fmt.Errorf(".%s.%s: %w", kind, field, err)
	}
	return nil
}

func (r *Returns) validate() error {
	if r.Away.Duration <= 0 {
		return fmt.Errorf(".away: %v: must be more than 0", r.Away)
	}
	if len(r.Shares) == 0 {
		return errors.New(".shares: empty: must have at least one")
	}
	for i, w := range r.Shares {
		switch c := w.Count; {
		case w.To.Duration <= w.From.Duration:
			return fmt.Errorf(".shares[%d].to: %v: must be more than from %v", i, w.To, w.From)
		case c.Share == nil && c.ShareAtLeast == nil && c.ShareAtMost == nil:
			return fmt.Errorf(".shares[%d].count: must be share, shareAtLeast or shareAtMost", i)
		}
		if err := w.Count.validate(); err != nil {
			return fmt.Errorf(".shares[%d]%w", i, err)
		}
	}
	return nil
}

func (a *Answer) validate() error {
	rest := len(a.Status) > 0 || a.Body != nil || len(a.Header) > 0 || a.FasterThan.Duration > 0 || a.SlowerThan.Duration > 0
	if rest == a.Reset {
		return errors.New("must have some of status, body, header, fasterThan and slowerThan, or reset alone")
	}
	if a.FasterThan.Duration > 0 && a.SlowerThan.Duration >= a.FasterThan.Duration {
		return fmt.Errorf("slowerThan %v: must be less than fasterThan %v", a.SlowerThan, a.FasterThan)
	}
	return nil
}

// validateCount returns an error for bounds that every or no number of observations meets.
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
		return errors.New(".count.perRequest: must be unset unless the observation is received")
	case !open && low > n:
		return fmt.Errorf(".count: at least %d: must be at most %d", low, n)
	case low > high:
		return fmt.Errorf(".count: atLeast %d: must be at most atMost %d", low, high)
	case low <= 0 && (high == math.MaxInt || (!open && high >= n)):
		return fmt.Errorf(".count: every number from %d to %d passes: must exclude some", low, n)
	}
	return nil
}

func (c *Count) validate() error { //nolint:gocyclo // a flat list of bounds
	if trues(c.All, c.None, c.AtLeast != nil || c.AtMost != nil, c.PerRequest != nil, c.Share != nil, c.ShareAtLeast != nil, c.ShareAtMost != nil) != 1 {
		return errors.New(".count: must be all, none, or one of atLeast with atMost, perRequest, share, shareAtLeast and shareAtMost")
	}
	for _, number := range []*int{c.AtLeast, c.AtMost, c.PerRequest} {
		if number != nil && (*number < 0 || *number > 100*maxRequests) {
			return fmt.Errorf(".count: %d: must be between 0 and %d", *number, 100*maxRequests)
		}
	}
	isShare := false
	for _, share := range []*float64{c.Share, c.ShareAtLeast, c.ShareAtMost} {
		if share == nil {
			continue
		}
		isShare = true
		if !(*share >= 0 && *share <= 1) {
			return fmt.Errorf(".count: share %v: must be between 0 and 1", *share)
		}
	}
	if isShare && !(c.Confidence >= 0.9 && c.Confidence < 1) {
		return fmt.Errorf(".count.confidence: %v: must be at least 0.9 and less than 1 with a share", c.Confidence)
	}
	if !isShare && c.Confidence != 0 {
		return fmt.Errorf(".count.confidence: %v: must be unset without a share", c.Confidence)
	}
	return nil
}
