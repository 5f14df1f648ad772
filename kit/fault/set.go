package fault

import (
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Set holds the rules in force. It is safe for concurrent use.
type Set struct {
	now func() time.Time

	conns conns

	mu    sync.Mutex
	seed  uint64
	since time.Time // when the rules were set
	rules []*counted
}

// counted is a rule, how many requests matched it and how often it fired. Its random generator is
// seeded by the Set's seed and the rule's text: its numbers do not depend on other rules.
type counted struct {
	Rule
	matched, fired int64
	random         *rand.Rand
	free           time.Duration // Capacity: when the next request can start, since the rules were set
}

// NewSet returns a Set of rules. The same seed and the same sequence of requests give the same
// faults. Seed 0 means a random seed.
func NewSet(seed uint64, rules []Rule, now func() time.Time) *Set {
	if seed == 0 {
		seed = rand.Uint64N(maxRandomSeed) + 1
	}
	s := &Set{now: now, seed: seed}
	s.Replace(rules)
	return s
}

// maxRandomSeed is the largest random seed: JSON carries integers exactly up to 2⁵³.
const maxRandomSeed = 1 << 53

// Replace replaces the rules in force. All counts and windows start again.
func (s *Set) Replace(rules []Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = s.now()
	s.rules = make([]*counted, len(rules))
	texts := make(map[string]uint64)
	for i, r := range rules {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(r.text))
		s.rules[i] = &counted{Rule: r, random: rand.New(rand.NewPCG(s.seed, hash.Sum64()+texts[r.text]))}
		texts[r.text]++ // equal rules get different seeds
	}
}

// Injection is a fault to inject into one request.
type Injection struct {
	Rule
	Wait    time.Duration // of Delay, and of Capacity
	Refused bool          // by Capacity

	rule *counted
}

// Decide returns the faults that r meets, in the order of the rules. The list ends with the first fault
// that ends the request. Unless that fault gives an answer, the list has no faults of a body or of the
// connection after it.
func (s *Set) Decide(r *http.Request) []Injection { //nolint:gocyclo // one pass over the rules, which share when the list ends
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rules) == 0 {
		return nil
	}
	var injections []Injection
	since, ended := s.now().Sub(s.since), false
	for _, rule := range s.rules {
		opened, open := rule.open(since)
		if !open || !rule.matches(r) {
			continue
		}
		rule.matched++
		share, wait := rule.draw() // for every match, so that later numbers do not depend on other rules
		if ended || share >= rule.rateAt(opened) || rule.exhausted() {
			continue
		}
		injection := Injection{Rule: rule.Rule, Wait: wait, rule: rule}
		if rule.Kind == Capacity {
			injection.Wait, injection.Refused = rule.admit(since)
		}
		if rule.Kind != Capacity || injection.Wait > 0 || injection.Refused {
			injections = append(injections, injection)
		}
		ended = injection.ends()
	}
	if ended && !injections[len(injections)-1].answers() {
		injections = slices.DeleteFunc(injections, func(i Injection) bool { return i.onBody() || i.Kind == Idle })
	}
	for _, i := range injections {
		if i.Kind != Idle { // it fires when the connection is closed
			i.rule.fired++
		}
	}
	return injections
}

// exhausted reports whether the rule has fired as often as it may.
func (c *counted) exhausted() bool { return c.Count > 0 && c.fired >= c.Count }

// fires counts that an Idle fault fires now. It returns false if the rule is no longer in force or has
// fired as often as it may.
func (s *Set) fires(rule *counted) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rule.exhausted() || !slices.Contains(s.rules, rule) {
		return false
	}
	rule.fired++
	return true
}

// admit gives a request the next start that is free, at a time since after the rules were set: how long it
// waits for it, or that it is refused because too many wait already.
//
// A request keeps its start if its caller leaves while it waits. A server with a queue learns that a caller
// has left only when it answers, so its work is wasted; that makes an overload by retries last after its
// trigger has ended (Huang et al., "Metastable Failures in the Wild", OSDI '22). Were the start given to the
// next request, the queue would empty itself of all that nobody waits for, and no overload would last.
func (c *counted) admit(since time.Duration) (wait time.Duration, refused bool) {
	each := time.Duration(float64(time.Second) / c.PerSecond)
	if wait = max(c.free-since, 0); wait > 0 && int64((wait-1)/each) >= c.Queue { // those that wait already
		return 0, true
	}
	c.free = since + wait + each
	return wait, false
}

// draw takes two random numbers: the share that is compared with the rate, and the delay.
func (c *counted) draw() (share float64, wait time.Duration) {
	share = c.random.Float64()
	return share, c.Least + time.Duration(c.random.Float64()*float64(c.Most-c.Least+1))
}

// ends reports whether the fault ends the request.
func (i *Injection) ends() bool {
	switch i.Kind {
	case Status, Reset, Hang, Crash:
		return true
	case Capacity:
		return i.Refused
	}
	return false
}

// answers reports whether a fault that ends the request sends an answer.
func (i *Injection) answers() bool { return i.Kind == Status || i.Kind == Capacity }

// onBody reports whether the fault changes how an answer's body is sent.
func (r *Rule) onBody() bool { return r.Kind == Truncate || r.Kind == Slow }
