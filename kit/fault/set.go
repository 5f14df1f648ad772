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
	Wait time.Duration // of Delay
}

// Decide returns the faults that r meets, in the order of the rules. A fault that ends the request is the
// last one. If it is a Reset, Hang or Crash, there is no answer: the list has no Truncate and no Slow.
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
		share, wait := rule.draw() // for every match, so that later numbers do not depend on other rules
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

// draw takes two random numbers: the share that is compared with the rate, and the delay.
func (c *counted) draw() (share float64, wait time.Duration) {
	share = c.random.Float64()
	return share, c.Least + time.Duration(c.random.Float64()*float64(c.Most-c.Least+1))
}

// ends reports whether the fault ends the request.
func (r *Rule) ends() bool {
	switch r.Kind {
	case Status, Reset, Hang, Crash:
		return true
	}
	return false
}

// onBody reports whether the fault changes how an answer's body is sent.
func (r *Rule) onBody() bool { return r.Kind == Truncate || r.Kind == Slow }
