package check

import (
	"sync"

	"fleetman.example/lab/scenario"
)

// decided tells, record by record, when a check can no longer hold whatever is
// still to come. A control need not go on then: it would wait for minutes to
// see the same.
func decided(c *scenario.Check) func(int, Record) bool {
	var mu sync.Mutex
	seen := make([]*Record, c.Requests.Count)
	matching, low, high, left := make([]int, len(c.Expect)), make([]int, len(c.Expect)), make([]int, len(c.Expect)), make([]int, len(c.Expect))
	for j, e := range c.Expect {
		if e.Answers != nil {
			left[j] = c.Requests.Count - e.AfterFirst
			low[j], high[j] = e.Count.Range(left[j])
		}
	}
	return func(i int, record Record) bool {
		mu.Lock()
		defer mu.Unlock()
		seen[i] = &record
		for j := range c.Expect {
			switch e := &c.Expect[j]; {
			case e.Answers != nil && i >= e.AfterFirst:
				left[j]--
				if like(e.Answers)(record) {
					matching[j]++
				}
				if matching[j] > high[j] || matching[j]+left[j] < low[j] {
					return true
				}
			case e.Settles != nil:
				if tooLate(e.Settles, seen) {
					return true
				}
			}
		}
		return false
	}
}

// tooLate: among the first answers, up to the first that has not come yet,
// there are more others than allowed, and no run of good ones.
func tooLate(s *scenario.Settles, seen []*Record) bool {
	others, run := 0, 0
	for _, record := range seen {
		if record == nil {
			return false
		}
		if like(&s.Good)(*record) {
			run++
		} else {
			others, run = others+1, 0
		}
		switch {
		case run == s.Run:
			return false
		case others > s.AfterAtMost:
			return true
		}
	}
	return false
}
