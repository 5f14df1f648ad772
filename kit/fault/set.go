package fault

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Set is the rules in force. It is safe for concurrent use.
type Set struct {
	now func() time.Time

	mu    sync.Mutex
	seed  uint64
	since time.Time // when the rules were set
	rules []*counted
}

// counted is a rule with how often it matched and fired, and its own random numbers: what other
// rules draw does not change what it draws.
type counted struct {
	Rule
	matched, fired int64
	random         *rand.Rand
}

// NewSet returns a Set of rules. The same seed and the same order of requests give the same
// faults; seed 0 draws one.
func NewSet(seed uint64, rules []Rule, now func() time.Time) *Set {
	if seed == 0 {
		seed = rand.Uint64()
	}
	s := &Set{now: now, seed: seed}
	s.Replace(rules)
	return s
}

// Replace puts rules in force instead of those that are; all counts begin at 0.
func (s *Set) Replace(rules []Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = s.now()
	s.rules = make([]*counted, len(rules))
	for i, r := range rules {
		s.rules[i] = &counted{Rule: r, random: rand.New(rand.NewPCG(s.seed, uint64(i)))}
	}
}

// Prepend puts rules in force before those that are.
func (s *Set) Prepend(rules []Rule) {
	s.mu.Lock()
	for _, r := range s.rules {
		rules = append(slices.Clip(rules), r.Rule)
	}
	s.mu.Unlock()
	s.Replace(rules)
}

// Seed is what the decisions are drawn from.
func (s *Set) Seed() uint64 { return s.seed }

// Injection is a fault that a request meets now.
type Injection struct {
	Rule
	Wait time.Duration // of a delay
}

// Decide answers the faults that a request meets, in the order of the rules. One that ends the
// request ends the list.
func (s *Set) Decide(r *http.Request) []Injection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var injections []Injection
	for _, rule := range s.rules {
		if !rule.matches(r, s.now().Sub(s.since)) {
			continue
		}
		rule.matched++
		if rule.random.Float64() >= rule.Rate || rule.Count > 0 && rule.fired >= rule.Count {
			continue
		}
		rule.fired++
		wait := rule.Least
		if width := int64(rule.Most - rule.Least); width > 0 {
			wait += time.Duration(rule.random.Int64N(width + 1))
		}
		injections = append(injections, Injection{rule.Rule, wait})
		if rule.ends() {
			break
		}
	}
	return injections
}

// ends tells whether a fault is all that a request gets.
func (r *Rule) ends() bool {
	switch r.Kind {
	case Status, Reset, Hang, Crash:
		return true
	}
	return false
}
