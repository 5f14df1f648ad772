package record

import (
	"slices"
	"strings"
	"time"
)

// Counters are samples by process, each process's in order, and the ends of the
// load's requests.
type Counters struct {
	byPod map[string][]Sample
	last  Offset
	ends  []Offset // sorted
}

// Counters are those of the run.
func (r *Run) Counters() Counters {
	c := NewCounters(r.Samples)
	for _, request := range r.Requests {
		c.ends = append(c.ends, request.End)
	}
	slices.Sort(c.ends)
	return c
}

// ended is how many requests of the load have ended at an offset.
func (c Counters) ended(offset Offset) float64 {
	n, _ := slices.BinarySearch(c.ends, offset+1)
	return float64(n)
}

// NewCounters sorts samples.
func NewCounters(samples []Sample) Counters {
	c := Counters{byPod: map[string][]Sample{}}
	for _, s := range samples {
		c.last = max(c.last, s.At)
		c.byPod[s.Pod] = append(c.byPod[s.Pod], s)
	}
	for _, of := range c.byPod {
		slices.SortStableFunc(of, func(a, b Sample) int { return int(a.At - b.At) })
	}
	return c
}

// Last is the offset of the last sample, which is taken when the load has ended.
func (c Counters) Last() Offset { return c.last }

// Pods returns the samples of each process.
func (c Counters) Pods() map[string][]Sample { return c.byPod }

// SampleSlack is how long after an offset its sample may have been taken: less
// than the time between two.
const SampleSlack = Offset(400 * time.Millisecond)

// ServiceOf returns the service that a pod, or the proxy of one, belongs to; ""
// of any other name.
func ServiceOf(pod string) string {
	return pod[:max(strings.LastIndexByte(pod, '-'), 0)]
}

// Sum adds up the counts of some processes at an offset. A process that counts
// less than before has restarted.
func (c Counters) Sum(of func(pod string) bool, has func(Count) bool, offset Offset) (sum float64) {
	for pod, samples := range c.byPod {
		if !of(pod) {
			continue
		}
		before, last := 0.0, 0.0
		for _, s := range samples {
			if s.At > offset+SampleSlack {
				break
			}
			if s.UsageOnly {
				continue
			}
			now := 0.0
			for _, count := range s.Counts {
				if has(count) {
					now += count.N
				}
			}
			if now < last {
				before += last
			}
			last = now
		}
		sum += before + last
	}
	return sum
}

// Received returns the growth of a pod's count of requests from one offset to another,
// by method.
func (c Counters) Received(pod string, from, until Offset) map[string]float64 {
	received := map[string]float64{}
	for _, s := range c.byPod[pod] {
		for _, n := range s.Counts {
			method := n.method()
			if _, known := received[method]; known || n.Name != CountServer {
				continue
			}
			only := func(other string) bool { return other == pod }
			has := func(other Count) bool { return other.Name == CountServer && other.method() == method }
			received[method] = c.Sum(only, has, until) - c.Sum(only, has, from)
		}
	}
	return received
}
