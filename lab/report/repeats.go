package report

import (
	"cmp"
	"slices"
	"time"

	"fleetman.example/lab/record"
	"fleetman.example/lab/stats"
)

// Repeats are what a seed reproduces: of the requests that the fault touched in
// one of two runs of one arm, the share that it touched in both.
type Repeats struct {
	SameSeed   Figure `json:"sameSeed"`
	OtherSeeds Figure `json:"otherSeeds"`
	// Difference is the first less the second.
	Difference Difference `json:"difference"`
}

// repeats compares the runs of each arm with each other.
func (g *Group) repeats() *Repeats {
	var arms [][]Run
	for f, a := range armsOf(g.Faults) {
		if !f.Healthy() {
			arms = append(arms, a.Runs)
		}
	}
	return repeatsOf(arms)
}

// repeatsOf compares the runs of each arm with each other; nil unless some seed
// was measured twice and there are two seeds.
func repeatsOf(arms [][]Run) *Repeats {
	var same, others []stats.Count
	for _, runs := range arms {
		for i, r := range runs {
			for _, other := range runs[i+1:] {
				if alike := r.alike(other); alike.N == 0 {
					continue
				} else if r.Seed == other.Seed {
					same = append(same, alike)
				} else {
					others = append(others, alike)
				}
			}
		}
	}
	if len(same) == 0 || len(others) == 0 {
		return nil
	}
	_, mine := stats.Pool(same)
	_, theirs := stats.Pool(others)
	r := Repeats{SameSeed: pooled(same), OtherSeeds: pooled(others), Difference: Difference{Pairs: min(len(same), len(others))}}
	r.Difference.Value = new(micro(mine.Share() - theirs.Share()))
	r.Difference.interval(stats.ShareDifference(mine, theirs, stats.Confidence))
	return &r
}

func pooled(counts []stats.Count) (f Figure) {
	all, effective := stats.Pool(counts)
	f.N, f.Value = int(all.N), new(micro(all.Share()))
	f.interval(stats.Share(effective, stats.Confidence))
	return f
}

// alike counts the requests, in their order, that the fault touched in both of
// two runs, of those that it touched in one.
func (r Run) alike(other Run) (c stats.Count) {
	mine, others := r.untouched(), other.untouched()
	for i := range min(len(r.during), len(other.during)) {
		switch a, b := r.touched(i, mine), other.touched(i, others); {
		case a && b:
			c.K++
			c.N++
		case a || b:
			c.N++
		}
	}
	return c
}

// touched reports whether a request has no good answer, or one that took longer
// than any without the fault.
func (r Run) touched(i int, longest time.Duration) bool {
	return !r.during[i].Good() || r.during[i].Latency() > longest
}

// untouched is twice the longest latency before the fault; without requests
// there, the SLO's.
func (r Run) untouched() time.Duration {
	longest := time.Duration(0)
	for _, request := range record.Between(r.seen.Requests, 0, r.seen.FaultAt) {
		longest = max(longest, 2*request.Latency())
	}
	return cmp.Or(longest, r.slo)
}

// repeats compares the runs of two reports with the same conditions: the second
// repeats the seeds of the first.
func (p Pair) repeats() *Repeats {
	if len(p.Conditions) > 0 {
		return nil
	}
	var arms [][]Run
	for f, a := range armsOf(p.A.faults()) {
		if b, ok := p.B.find(f.Name, a.Name); ok && !f.Healthy() {
			arms = append(arms, slices.Concat(a.Runs, b.Runs))
		}
	}
	return repeatsOf(arms)
}
