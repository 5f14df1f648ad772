package report

import (
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/record"
)

// Use is the average number of cores that processes used from fault to repair,
// and their resident bytes at the repair. Shared pages count once for each.
type Use struct {
	Processes int     `json:"processes"`
	Cores     float64 `json:"cores"`
	Idle      float64 `json:"coresIdle,omitempty"`    // without the load
	Per1000   float64 `json:"coresPer1000,omitempty"` // what 1 000 requests a second have over that
	Memory    float64 `json:"memoryBytes"`
}

// Cost is what a run used. Proxies are those beside the pods and the gateways.
type Cost struct {
	Services     Use `json:"services"`
	Proxies      Use `json:"proxies"`
	ControlPlane Use `json:"controlPlane"`
	// IdleSeconds is the time in which Idle is measured; 0: Idle and Per1000 are
	// unknown.
	IdleSeconds float64 `json:"idleSeconds,omitempty"`
}

// settling is how long the last requests of the load may take to end.
const settling = record.Offset(time.Second)

// costsOf computes a run's use from its samples.
func costsOf(c record.Counters, run *record.Run) Cost {
	quiet := run.LoadUntil + settling
	idled := run.LoadUntil > 0 && quiet < run.End
	use := func(of func(pod string) bool) Use {
		u := used(c, run.FaultAt, run.RepairAt, of)
		if idled {
			u.Idle = used(c, quiet, run.End, of).Cores
			u.Per1000 = micro((u.Cores - u.Idle) * 1000 / run.Rate)
		}
		return u
	}
	cost := Cost{
		Services: use(func(pod string) bool {
			return !strings.HasSuffix(pod, record.ProxySuffix) && pod != record.ControlPlane
		}),
		Proxies:      use(func(pod string) bool { return strings.HasSuffix(pod, record.ProxySuffix) }),
		ControlPlane: use(func(pod string) bool { return pod == record.ControlPlane }),
	}
	if idled {
		cost.IdleSeconds = seconds(run.End - quiet)
	}
	return cost
}

// used adds up the samples of some processes.
func used(c record.Counters, from, until record.Offset, of func(pod string) bool) (all Use) {
	cpu := 0.0
	for pod, samples := range c.Pods() {
		if !of(pod) {
			continue
		}
		var spent []spending
		memory, before, last := 0.0, 0.0, 0.0
		for _, s := range samples {
			for _, count := range s.Counts {
				switch count.Name {
				case record.CountCPU:
					if count.N < last { // a new process
						before += last
					}
					last = count.N
					spent = append(spent, spending{s.At, before + last})
				case record.CountMemory:
					if s.At <= until+record.SampleSlack {
						memory = count.N
					}
				}
			}
		}
		if len(spent) == 0 || spent[0].at > until+record.SampleSlack {
			continue
		}
		all.Processes++
		cpu += spentBy(spent, until) - spentBy(spent, from)
		all.Memory += memory
	}
	all.Cores = micro(cpu / seconds(until-from))
	return all
}

// spending is the CPU, in seconds, that a pod has used until an offset.
type spending struct {
	at  record.Offset
	cpu float64
}

// spentBy is on the straight line between the samples around an offset, so that
// it matters little when each was taken, or that one is missing.
func spentBy(spent []spending, offset record.Offset) float64 {
	i, _ := slices.BinarySearchFunc(spent, offset, func(s spending, m record.Offset) int { return int(s.at - m) })
	switch {
	case i == 0:
		return spent[0].cpu
	case i == len(spent):
		return spent[i-1].cpu
	}
	a, b := spent[i-1], spent[i]
	return a.cpu + (b.cpu-a.cpu)*float64(offset-a.at)/float64(b.at-a.at)
}
