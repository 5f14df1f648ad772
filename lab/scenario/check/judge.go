package check

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/scenario"
)

// Finding is the result of one expectation.
type Finding struct {
	Holds    bool   `json:"holds"`
	Expected string `json:"expected"` // in words
	Saw      string `json:"saw"`      // the observation, in words
}

func (f Finding) String() string { return fmt.Sprintf("expected %s; saw %s", f.Expected, f.Saw) }

// observation is what was observed of a check's requests.
type observation struct {
	planned    int      // the check's number of requests
	records    []Record // fewer when the first ones have decided
	calls      []Call
	proxies    []Proxy
	lastAction time.Duration // from the first request's start
	ended      time.Duration // of the last request
}

// left returns the number of requests that were not sent.
func (o *observation) left() int { return o.planned - len(o.records) }

// notSent returns the number of requests that were not sent, in words, or "".
func (o *observation) notSent() string {
	if o.left() == 0 {
		return ""
	}
	return fmt.Sprintf("%d not sent, as the first ones decide; ", o.left())
}

// cannotHold reports whether no responses to the requests that are left could make the expectation hold.
func (o *observation) cannotHold(e scenario.Expect) bool {
	switch {
	case e.Answers != nil:
		low, high := e.Count.Range(o.planned)
		seen := count(o.records, like(e.Answers))
		return seen > high || seen+o.left() < low
	case e.Settles != nil: // without a run, all so far come before the one that is still to begin
		good, before := like(&e.Settles.Good), o.records
		if first := firstRun(o.records, good, e.Settles.Run); first >= 0 {
			before = o.records[:first]
		}
		return len(before)-count(before, good) > e.Settles.AfterAtMost
	}
	return false
}

func (o *observation) judge(e *scenario.Expect) Finding {
	switch {
	case e.Answers != nil:
		seen := count(o.records, like(e.Answers))
		return bound(e.Count, seen, o.planned, "responses with "+describe(e.Answers), "requests", o.notSent()+o.others(e.Answers))
	case e.Received != nil:
		seen := count(o.calls, func(call Call) bool { return received(e.Received, call) })
		return bound(e.Count, seen, len(o.records), "calls that reached "+describeReceived(e.Received), "requests", o.taken(e.Received))
	case e.Proxies != nil:
		return o.controlled(e.Proxies, e.Count)
	case e.Consistent != nil:
		agreeing, keys := o.consistent(e.Consistent.Capture.Regexp)
		return bound(e.Count, agreeing, keys, fmt.Sprintf("keys whose responses agree on /%s/", e.Consistent.Capture), "keys", "")
	case e.Distinct != nil:
		found := o.distinct(e.Distinct.Capture.Regexp)
		return bound(e.Count, len(found), len(o.records), fmt.Sprintf("different captures of /%s/", e.Distinct.Capture), "requests", strings.Join(found, ", "))
	case e.Settles != nil:
		return o.settles(e.Settles)
	case e.Returns != nil:
		return o.returns(e.Returns)
	}
	return o.recovers(e.Recovers)
}

// controlled compares the number of proxies under a revision with its bounds. It never holds when a workload has no
// proxy: nothing was observed then.
func (o *observation) controlled(p *scenario.Proxies, c *scenario.Count) Finding {
	under, of, others := 0, 0, map[string]int{}
	missing := slices.Clone(p.Of)
	for _, proxy := range o.proxies {
		if !slices.Contains(p.Of, proxy.Deployment) {
			continue
		}
		of++
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == proxy.Deployment })
		if proxy.Revision == p.Revision {
			under++
		} else {
			others[cmp.Or(proxy.Revision, "no control plane")]++
		}
	}
	finding := bound(c, under, of, fmt.Sprintf("proxies of %s under revision %s", strings.Join(p.Of, ", "), p.Revision), "proxies", tally(others))
	if len(missing) > 0 {
		finding.Holds = false
		finding.Saw += "; no proxy of " + strings.Join(missing, ", ")
	}
	return finding
}

// bound compares a number with its bounds. more is added to the finding's observation.
func bound(c *scenario.Count, seen, of int, what, unit, more string) Finding {
	low, high := c.Range(of)
	expected := fmt.Sprintf("%d to %d", low, high)
	switch {
	case low == high:
		expected = fmt.Sprint(low)
	case high == math.MaxInt:
		expected = fmt.Sprintf("%d or more", low)
	}
	if share := shareOf(c); share != "" {
		expected += " (" + share + ")"
	}
	finding := Finding{
		Holds: low <= seen && seen <= high, Expected: fmt.Sprintf("%s %s", expected, what),
		Saw: fmt.Sprintf("%d of %d %s", seen, of, unit),
	}
	if more != "" {
		finding.Saw += "; " + more
	}
	return finding
}

// shareOf returns the bound of a share in words, or "" for another bound.
func shareOf(c *scenario.Count) string {
	switch {
	case c.Share != nil:
		return fmt.Sprintf("share %v at %v", *c.Share, c.Confidence)
	case c.ShareAtLeast != nil:
		return fmt.Sprintf("share at least %v at %v", *c.ShareAtLeast, c.Confidence)
	case c.ShareAtMost != nil:
		return fmt.Sprintf("share at most %v at %v", *c.ShareAtMost, c.Confidence)
	}
	return ""
}

func count[T any](all []T, matches func(T) bool) (n int) {
	for _, one := range all {
		if matches(one) {
			n++
		}
	}
	return n
}

func (o *observation) consistent(capture *regexp.Regexp) (agreeing, keys int) {
	byKey := map[string]map[string]bool{}
	for _, record := range o.records {
		if byKey[record.Key] == nil {
			byKey[record.Key] = map[string]bool{}
		}
		byKey[record.Key][captured(capture, record)] = true
	}
	for _, captures := range byKey {
		if len(captures) == 1 && !captures[""] {
			agreeing++
		}
	}
	return agreeing, len(byKey)
}

func (o *observation) distinct(capture *regexp.Regexp) []string {
	var found []string
	for _, record := range o.records {
		if text := captured(capture, record); text != "" && !slices.Contains(found, text) {
			found = append(found, text)
		}
	}
	slices.Sort(found)
	return found
}

// captured returns the first group or the whole match, or "" without a match.
func captured(capture *regexp.Regexp, record Record) string {
	match := capture.FindSubmatch(record.Body)
	switch {
	case match == nil:
		return ""
	case len(match) > 1:
		return string(match[1])
	}
	return string(match[0])
}

// firstRun returns the index at which the first run of good records begins, or -1.
func firstRun(records []Record, good func(Record) bool, run int) int {
	length := 0
	for i, record := range records {
		if !good(record) {
			length = 0
			continue
		}
		if length++; length == run {
			return i - run + 1
		}
	}
	return -1
}

func (o *observation) settles(s *scenario.Settles) Finding {
	finding := Finding{Expected: fmt.Sprintf("at most %d others before %d in a row of %s", s.AfterAtMost, s.Run, describe(&s.Good))}
	if s.LastsAtLeast.Duration > 0 {
		finding.Expected += fmt.Sprintf(", for %v at least", s.LastsAtLeast)
	}
	if s.LastsAtMost.Duration > 0 {
		finding.Expected += fmt.Sprintf(", for %v at most", s.LastsAtMost)
	}
	others, good := o.notSent()+o.others(&s.Good), like(&s.Good)
	first := firstRun(o.records, good, s.Run)
	if first < 0 {
		finding.Saw = fmt.Sprintf("no %d in a row in %d requests; %s", s.Run, len(o.records), others)
		return finding
	}
	before, run := first-count(o.records[:first], good), o.records[first:]
	end := slices.IndexFunc(run, func(r Record) bool { return !good(r) })
	lasted, until := o.ended-run[0].Start, " until the end"
	if end >= 0 {
		lasted, until = run[end].Start-run[0].Start, ""
	}
	finding.Saw = fmt.Sprintf("%d others, then good ones from %s on, for %s%s", before, seconds(run[0].Start), seconds(lasted), until)
	if others != "" {
		finding.Saw += "; " + others
	}
	finding.Holds = before <= s.AfterAtMost && lasted >= s.LastsAtLeast.Duration &&
		(s.LastsAtMost.Duration == 0 || lasted <= s.LastsAtMost.Duration)
	return finding
}

func (o *observation) recovers(r *scenario.Recovers) Finding {
	finding := Finding{Expected: fmt.Sprintf("%d in a row of %s within %v of the last action", r.Run, describe(&r.Good), r.Within)}
	from := slices.IndexFunc(o.records, func(record Record) bool { return record.Start >= o.lastAction })
	if from < 0 {
		finding.Saw = "no request after the last action"
		return finding
	}
	first := firstRun(o.records[from:], like(&r.Good), r.Run)
	if first < 0 {
		finding.Saw = fmt.Sprintf("no %d in a row in the %d requests after it; %s", r.Run, len(o.records)-from, o.others(&r.Good))
		return finding
	}
	after := o.records[from+first].Start - o.lastAction
	finding.Saw = fmt.Sprintf("after %s", seconds(after))
	finding.Holds = after <= r.Within.Duration
	return finding
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
