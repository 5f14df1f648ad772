package fault

import (
	"hash/fnv"
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

// counted is a rule with how often it matched and fired, and its own random numbers, from the
// seed and its text: what other rules there are, and what they draw, does not change what it draws.
type counted struct {
	Rule
	matched, fired int64
	random         *rand.Rand
}

// NewSet returns a Set of rules. The same seed and the same order of requests give the same
// faults; seed 0 draws one.
func NewSet(seed uint64, rules []Rule, now func() time.Time) *Set {
	if seed == 0 {
		seed = rand.Uint64N(maxDrawn) + 1
	}
	s := &Set{now: now, seed: seed}
	s.Replace(rules)
	return s
}

// maxDrawn bounds a seed that is drawn, so that it can be given back: a number in JSON has 53 bits.
const maxDrawn = 1 << 53

// Replace puts rules in force instead of those that are; all counts begin at 0.
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
		texts[r.text]++ // the same rule again draws its own
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

// Decide returns the faults that a request meets, in the order of the rules. One that ends the
// request ends the list; where it leaves no answer, there is no body to meet a fault either.
func (s *Set) Decide(r *http.Request) []Injection {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rules) == 0 {
		return nil
	}
	var fired []*counted
	var injections []Injection
	since, ended := s.now().Sub(s.since), false
	for _, rule := range s.rules {
		if !rule.matches(r, since) {
			continue
		}
		rule.matched++
		share, wait := rule.draw() // for a request that has its end too: the next one's draw is the same
		if ended || share >= rule.Rate || rule.Count > 0 && rule.fired >= rule.Count {
			continue
		}
		fired, injections = append(fired, rule), append(injections, Injection{rule.Rule, wait})
		ended = rule.ends()
	}
	if ended && injections[len(injections)-1].Kind != Status {
		fired = slices.DeleteFunc(fired, func(r *counted) bool { return r.onBody() })
		injections = slices.DeleteFunc(injections, func(i Injection) bool { return i.onBody() })
	}
	for _, rule := range fired {
		rule.fired++
	}
	return injections
}

// draw takes what one request needs of a rule's random numbers: always two.
func (c *counted) draw() (share float64, wait time.Duration) {
	share = c.random.Float64()
	return share, c.Least + time.Duration(c.random.Float64()*float64(c.Most-c.Least+1))
}

// ends reports whether a fault is all that a request gets.
func (r *Rule) ends() bool {
	switch r.Kind {
	case Status, Reset, Hang, Crash:
		return true
	}
	return false
}

// onBody reports whether a fault is done to an answer's body.
func (r *Rule) onBody() bool { return r.Kind == Truncate || r.Kind == Slow }
