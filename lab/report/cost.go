package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
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

// Added is the difference to the baseline's run with the same seed: latencies in
// seconds, CPU and memory of services and proxies together.
type Added struct {
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	Per1000 float64 `json:"coresPer1000"`
	Memory  float64 `json:"memoryBytes"`
}

// settling is how long the last requests of the load may take to end.
const settling = record.Offset(time.Second)

// costs computes a run's use from its samples.
func (c counters) costs(run *record.Run) Cost {
	quiet := run.LoadUntil + settling
	idled := run.LoadUntil > 0 && quiet < run.End
	use := func(of func(pod string) bool) Use {
		u := c.use(run.FaultAt, run.RepairAt, of)
		if idled {
			u.Idle = c.use(quiet, run.End, of).Cores
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

// use adds up the samples of some.
func (c counters) use(from, until record.Offset, of func(pod string) bool) (all Use) {
	cpu := 0.0
	for pod, samples := range c.byPod {
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
					if s.At <= until+sampleSlack {
						memory = count.N
					}
				}
			}
		}
		if len(spent) == 0 || spent[0].at > until+sampleSlack {
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

// micro rounds to a millionth.
func micro(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// baseline is the arm that the others' cost is compared with.
const baseline = "none"

// added fills in what each run has over the baseline's of the same seed, where
// there is one.
func (f Fault) added() {
	none := slices.IndexFunc(f.Arms, func(a Arm) bool { return a.Name == baseline })
	if none < 0 {
		return
	}
	for i, a := range f.Arms {
		if i == none {
			continue
		}
		for i := range a.Runs {
			r := &a.Runs[i]
			for _, base := range f.Arms[none].Runs {
				if base.Seed != r.Seed {
					continue
				}
				r.Added = &Added{
					P50: micro(r.P50 - base.P50), P99: micro(r.P99 - base.P99),
					Per1000: micro(r.Cost.Services.Per1000 + r.Cost.Proxies.Per1000 - base.Cost.Services.Per1000 - base.Cost.Proxies.Per1000),
					Memory:  r.Cost.Services.Memory + r.Cost.Proxies.Memory - base.Cost.Services.Memory - base.Cost.Proxies.Memory,
				}
			}
		}
	}
}

// Healthy reports whether nothing fails: the runs show what each arm costs.
func (f Fault) Healthy() bool { return f.Rules == "" }

// costs are the table's heads and rows: what each arm adds to the latency, and
// the CPU of 1 000 requests a second.
func (f Fault) costs() (heads []string, rows [][]string) {
	heads = []string{"arm", "good", "p50", "added", "p99", "added", "CPU: services", "proxies", "added", "idle: services", "proxies", "control plane", "memory: services", "proxies", "added", "control plane", "counts"}
	per1000, idle, memory := func(u Use) float64 { return u.Per1000 }, func(u Use) float64 { return u.Idle }, func(u Use) float64 { return u.Memory }
	ifIdled := func(figure func(Run) *float64) func(Run) *float64 {
		return func(r Run) *float64 {
			if r.Cost.IdleSeconds == 0 {
				return nil
			}
			return figure(r)
		}
	}
	used := func(pick func(Cost) Use, of func(Use) float64) func(Run) *float64 {
		return func(r Run) *float64 {
			if pick(r.Cost).Processes == 0 {
				return nil
			}
			return pointer(of(pick(r.Cost)))
		}
	}
	added := func(of func(Added) float64) func(Run) *float64 {
		return func(r Run) *float64 {
			if r.Added == nil {
				return nil
			}
			return pointer(of(*r.Added))
		}
	}
	services, proxies, control := func(c Cost) Use { return c.Services }, func(c Cost) Use { return c.Proxies }, func(c Cost) Use { return c.ControlPlane }
	for _, a := range f.Arms {
		rows = append(rows, []string{
			a.Name,
			a.each(percent, func(r Run) *float64 { return &r.Good }),
			a.each(milliseconds, func(r Run) *float64 { return &r.P50 }),
			a.each(milliseconds, added(func(d Added) float64 { return d.P50 })),
			a.each(milliseconds, func(r Run) *float64 { return &r.P99 }),
			a.each(milliseconds, added(func(d Added) float64 { return d.P99 })),
			a.each(ofCores, ifIdled(used(services, per1000))),
			a.each(ofCores, ifIdled(used(proxies, per1000))),
			a.each(ofCores, ifIdled(added(func(d Added) float64 { return d.Per1000 }))),
			a.each(percent, ifIdled(used(services, idle))),
			a.each(percent, ifIdled(used(proxies, idle))),
			a.each(percent, ifIdled(used(control, idle))),
			a.each(megabytes, used(services, memory)),
			a.each(megabytes, used(proxies, memory)),
			a.each(megabytes, added(func(d Added) float64 { return d.Memory })),
			a.each(megabytes, used(control, memory)),
			a.agree(),
		})
	}
	return heads, rows
}

// costIs explains the table's figures.
const costIs = "CPU is what 1 000 requests a second need over the idle fleet; idle, of one core, that of the five vehicles' reports and of waiting. Added is the difference to none with the same seed, of services and proxies together."

// cost writes the table for people.
func (f Fault) cost(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	heads, rows := f.costs()
	for _, row := range slices.Concat([][]string{heads}, rows) {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	t.Flush()
	fmt.Fprintf(w, "\n%s\n\n", costIs)
}

// costMarkdown writes it for a README.
func (f Fault) costMarkdown(w io.Writer) {
	fmt.Fprintf(w, "What an arm costs while nothing fails, at %s requests per second and five vehicles. %s\n\n", number(f.Rate, 1), costIs)
	heads, rows := f.costs()
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat(" --- |", len(heads)))
	for _, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
}
