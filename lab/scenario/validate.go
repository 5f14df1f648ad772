package scenario

import (
	"cmp"
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

// must returns an error unless a condition holds. A list of them in cmp.Or has the first error.
func must(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// each returns the first error of the elements of a list, with the field and the element's index.
func each[T any](field string, list []T, validate func(*T) error) error {
	for i := range list {
		if err := validate(&list[i]); err != nil {
			return fmt.Errorf("%s[%d]%w", field, i, err)
		}
	}
	return nil
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

// Validate returns an error, with the promise and the field, for a promise that cannot be checked and for
// bounds that every observation meets.
func (f *File) Validate() error {
	seen := map[string]bool{}
	return cmp.Or(
		must(len(f.Promises) > 0, "promises: empty: must have at least one"),
		each("promises", f.Promises, func(p *Promise) error {
			twice := seen[p.Promise]
			seen[p.Promise] = true
			return cmp.Or(p.validate(), must(!twice, ".promise: %q: must be unique", p.Promise))
		}))
}

func (p *Promise) validate() error {
	oneLine := strings.TrimSpace(p.Promise) != "" && !strings.ContainsAny(p.Promise, "\n\r")
	broken := slices.ContainsFunc(p.Checks, func(c Check) bool { return !c.Guard })
	return cmp.Or(
		must(oneLine, ".promise: %q: must be a sentence in one line", p.Promise),
		must(len(p.Checks) > 0, ".checks: empty: must have at least one"),
		must(broken, ".checks: all are guards: must have at least one that the control breaks"),
		each(".checks", p.Checks, (*Check).validate),
		p.Control.validate())
}

var objectForm = regexp.MustCompile(`^[A-Z][A-Za-z]* [a-z0-9][a-z0-9./-]*$`)

func (c *Control) validate() error {
	kinds := trues(len(c.Without) > 0, c.With != "", len(c.Set) > 0, c.Scenario != "")
	return cmp.Or(
		must(kinds == 1, ".control: %d of without, with, set and scenario: must be exactly one: a promise that no control breaks proves nothing", kinds),
		each(".control.without", c.Without, func(what *string) error {
			return must(*what == "rules" || *what == "sidecars" || objectForm.MatchString(*what),
				`: %.60q: must be rules, sidecars, or an object such as "ServiceEntry driver-monitoring"`, *what)
		}),
		must(c.With == "" || c.With == filepath.Base(c.With), ".control.with: %.60q: must be the name of a file beside expect.yaml", c.With),
		must(!strings.HasPrefix(c.Scenario, "/") && !strings.Contains(c.Scenario, ".."),
			".control.scenario: %.60q: must be a directory below k8s/scenarios, such as mtls-strict", c.Scenario))
}

func (c *Check) validate() error {
	if err := c.Requests.validate(); err != nil {
		return fmt.Errorf(".requests%w", err)
	}
	return cmp.Or(
		each(".actions", c.Actions, func(a *Action) error {
			return must(a.Workload != "" && (a.Faults != "") != a.Kill, ": must have workload, and either faults or kill")
		}),
		must(len(c.Expect) > 0, ".expect: empty: must have at least one"),
		each(".expect", c.Expect, func(e *Expect) error { return e.validate(c) }))
}

var methodForm = regexp.MustCompile(`^[A-Z]*$`)

func (r *Requests) validate() error {
	target, err := url.ParseRequestURI(r.Path)
	escaped := err == nil && strings.HasPrefix(r.Path, "/") && !strings.ContainsAny(r.Path, " #") && target.Host == ""
	return cmp.Or(
		must(r.From != (Origin{}), ".from: missing: must be ingress, nodePort:PORT or workload:DEPLOYMENT"),
		must(escaped, ".path: %.80q: must be an escaped path such as /driver/City%%20Truck", r.Path),
		must(methodForm.MatchString(r.Method), ".method: %.20q: must be a method such as GET", r.Method),
		must(r.Count >= 1 && r.Count <= maxRequests, ".count: %d: must be between 1 and %d", r.Count, maxRequests),
		must(r.Concurrency >= 0 && r.Concurrency <= 1000, ".concurrency: %d: must be between 1 and 1000", r.Concurrency),
		must(r.Rate >= 0 && r.Rate <= 10_000, ".rate: %v: must be more than 0 and at most 10000 requests per second", r.Rate),
		must(r.Rate == 0 || r.Concurrency == 0, ".rate: %v: must be unset with concurrency", r.Rate),
		must(r.Bearer == "" || r.Bearer == filepath.Base(r.Bearer), ".bearer: %.60q: must be the name of a file beside expect.yaml", r.Bearer),
		must(r.Host == "" || httpguts.ValidHostHeader(r.Host), ".host: %.80q: must be a host such as fleetman.localhost", r.Host),
		r.validateTo(),
		r.validateHeaders(),
		r.validateKeys())
}

func (r *Requests) validateTo() error {
	if r.From.Workload == "" {
		return must(r.To == "", ".to: %.60q: must be unset unless from is a workload", r.To)
	}
	host, text, err := net.SplitHostPort(r.To)
	port, wrong := strconv.ParseUint(text, 10, 16)
	return must(err == nil && wrong == nil && port > 0 && host != "" && httpguts.ValidHostHeader(host),
		".to: %.60q: must be the host:port that the workload calls", r.To)
}

func (r *Requests) validateHeaders() error {
	for name, value := range r.Headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf(".headers: %.60q: %.60q: must be a valid header", name, value)
		}
	}
	return nil
}

// validateKeys validates what differs from request to request.
func (r *Requests) validateKeys() (err error) {
	if h := r.EachHeader; h != nil {
		err = cmp.Or(
			must(r.EachSource == 0, ".eachSource: %d: must be unset with eachHeader", r.EachSource),
			must(r.EachVisitor == 0, ".eachVisitor: %d: must be unset with eachHeader", r.EachVisitor),
			must(httpguts.ValidHeaderFieldName(h.Name), ".eachHeader.name: %.60q: must be the name of a header", h.Name),
			must(h.Values >= 2 && h.Values*2 <= r.Count, ".eachHeader.values: %d: must be at least 2 and at most half of count", h.Values))
	}
	return cmp.Or(err,
		must(r.EachSource == 0 || r.EachSource >= 2 && r.EachSource <= 250 && r.EachSource*2 <= r.Count,
			".eachSource: %d: must be between 2 and 250, and at most half of count", r.EachSource),
		must(r.EachVisitor == 0 || r.EachSource == 0 && r.EachVisitor >= 2 && r.EachVisitor*2 <= r.Count,
			".eachVisitor: %d: must be at least 2 and at most half of count, and unset with eachSource", r.EachVisitor))
}

// keys returns the number of EachHeader's values, of sources or of visitors.
func (r *Requests) keys() int {
	if r.EachHeader != nil {
		return r.EachHeader.Values
	}
	return max(r.EachSource, r.EachVisitor)
}

func (e *Expect) validate(c *Check) error {
	kinds := trues(e.Answers != nil, e.Received != nil, e.Consistent != nil, e.Distinct != nil, e.Settles != nil, e.Recovers != nil, e.Returns != nil, e.Proxies != nil)
	if kinds != 1 {
		return fmt.Errorf(": %d of answers, received, consistent, distinct, settles, recovers, returns and proxies: must be exactly one", kinds)
	}
	switch {
	case e.Settles != nil:
		s, n := e.Settles, c.Requests.Count
		return cmp.Or(
			must(s.Run >= 1 && s.AfterAtMost >= 0 && s.Run+s.AfterAtMost <= n, ".settles: afterAtMost %d and run %d: must be at least 0 and 1, and at most %d requests together", s.AfterAtMost, s.Run, n),
			must(s.LastsAtMost.Duration == 0 || s.LastsAtMost.Duration > s.LastsAtLeast.Duration, ".settles: lastsAtLeast %v: must be less than lastsAtMost %v", s.LastsAtLeast, s.LastsAtMost),
			e.without("settles", "good", &s.Good))
	case e.Recovers != nil:
		r, n := e.Recovers, c.Requests.Count
		return cmp.Or(
			must(len(c.Actions) > 0, ".recovers: must be unset without actions"),
			must(r.Run >= 1 && r.Run <= n && r.Within.Duration > 0, ".recovers: run %d, within %v: must be between 1 and %d, and more than 0", r.Run, r.Within, n),
			e.without("recovers", "good", &r.Good))
	case e.Returns != nil:
		return cmp.Or(
			must(len(c.Actions) > 0, ".returns: must be unset without actions"),
			e.Returns.validate(),
			e.without("returns", "replica", &e.Returns.Replica))
	case e.Count == nil:
		return errors.New(".count: missing: must be all, none, or bounds")
	case e.Proxies != nil:
		return e.Proxies.validate(e.Count)
	}
	capture := cmp.Or(e.Consistent, e.Distinct)
	return cmp.Or(
		must(e.Consistent == nil || c.Requests.keys() > 0, ".consistent: must be unset unless the requests have eachHeader, eachSource or eachVisitor"),
		must(capture == nil || capture.Capture.Regexp != nil, ": capture: missing: must be a regular expression"),
		must(e.Received == nil || len(e.Received.By) > 0, ".received.by: missing: must be a list of Deployments"),
		e.Answers.validate(".answers"),
		e.validateCount(&c.Requests))
}

func (p *Proxies) validate(c *Count) error {
	return cmp.Or(
		must(len(p.Of) > 0, ".proxies.of: missing: must be a list of Deployments"),
		must(len(validation.IsDNS1123Label(p.Revision)) == 0, ".proxies.revision: %.80q: must be the name of a revision, such as default", p.Revision),
		c.validate(),
		must(c.All || c.None, ".count: must be all or none with proxies"))
}

// without validates settles, recovers or returns, which have bounds of their own and no count.
func (e *Expect) without(kind, field string, matching *Answer) error {
	return cmp.Or(must(e.Count == nil, ".count: must be unset with %s", kind), matching.validate("."+kind+"."+field))
}

func (r *Returns) validate() error {
	return cmp.Or(
		must(r.Away.Duration > 0, ".returns.away: %v: must be more than 0", r.Away),
		must(len(r.Shares) > 0, ".returns.shares: empty: must have at least one"),
		each(".returns.shares", r.Shares, func(w *WindowShare) error {
			return cmp.Or(
				must(w.To.Duration > w.From.Duration, ".to: %v: must be more than from %v", w.To, w.From),
				must(w.Count.share() != nil, ".count: must be share, shareAtLeast or shareAtMost"),
				w.Count.validate())
		}))
}

// validate validates an answer. Nil is valid.
func (a *Answer) validate(field string) error {
	if a == nil {
		return nil
	}
	rest := len(a.Status) > 0 || a.Body != nil || len(a.Header) > 0 || a.FasterThan.Duration > 0 || a.SlowerThan.Duration > 0
	return cmp.Or(
		must(rest != a.Reset, "%s: must have some of status, body, header, fasterThan and slowerThan, or reset alone", field),
		must(a.FasterThan.Duration == 0 || a.SlowerThan.Duration < a.FasterThan.Duration,
			"%s: slowerThan %v: must be less than fasterThan %v", field, a.SlowerThan, a.FasterThan))
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
	return cmp.Or(
		must(c.PerRequest == nil || e.Received != nil, ".count.perRequest: must be unset unless the observation is received"),
		must(open || low <= n, ".count: at least %d: must be at most %d", low, n),
		must(low <= high, ".count: atLeast %d: must be at most atMost %d", low, high),
		must(low > 0 || high != math.MaxInt && (open || high < n), ".count: every number from %d to %d passes: must exclude some", low, n))
}

// share returns the share, or the bound of one; nil for another count.
func (c *Count) share() *float64 { return cmp.Or(c.Share, c.ShareAtLeast, c.ShareAtMost) }

func (c *Count) validate() error {
	if trues(c.All, c.None, c.AtLeast != nil || c.AtMost != nil, c.PerRequest != nil, c.Share != nil, c.ShareAtLeast != nil, c.ShareAtMost != nil) != 1 {
		return errors.New(".count: must be all, none, or one of atLeast with atMost, perRequest, share, shareAtLeast and shareAtMost")
	}
	for _, number := range []*int{c.AtLeast, c.AtMost, c.PerRequest} {
		if number != nil && (*number < 0 || *number > 100*maxRequests) {
			return fmt.Errorf(".count: %d: must be between 0 and %d", *number, 100*maxRequests)
		}
	}
	share := c.share()
	if share == nil {
		return must(c.Confidence == 0, ".count.confidence: %v: must be unset without a share", c.Confidence)
	}
	return cmp.Or(
		must(*share >= 0 && *share <= 1, ".count: share %v: must be between 0 and 1", *share),
		must(c.Confidence >= 0.9 && c.Confidence < 1, ".count.confidence: %v: must be at least 0.9 and less than 1 with a share", c.Confidence))
}
