package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"fleetman.example/lab/record"
)

// Use is what processes have used: cores on average from fault to repair,
// resident bytes at the repair. Pages that they share count once for each.
type Use struct {
	Processes int     `json:"processes"`
	Cores     float64 `json:"cores"`
	Memory    float64 `json:"memoryBytes"`
}

// Cost is what a run took. Proxies are those beside the pods and of gateways.
type Cost struct {
	Services     Use `json:"services"`
	Proxies      Use `json:"proxies"`
	ControlPlane Use `json:"controlPlane"`
}

// costs reads a run's use from its samples.
func (c counters) costs(from, until record.Moment) Cost {
	return Cost{
		Services: c.use(from, until, func(pod string) bool {
			return !strings.HasSuffix(pod, record.ProxySuffix) && pod != record.ControlPlane
		}),
		Proxies:      c.use(from, until, func(pod string) bool { return strings.HasSuffix(pod, record.ProxySuffix) }),
		ControlPlane: c.use(from, until, func(pod string) bool { return pod == record.ControlPlane }),
	}
}

// use adds up the samples of some. One that has used less CPU than before is a
// new process.
func (c counters) use(from, until record.Moment, of func(pod string) bool) (all Use) {
	cpu := 0.0
	for pod, samples := range c.byPod {
		if !of(pod) {
			continue
		}
		first, before, last, memory := math.NaN(), 0.0, 0.0, 0.0
		for _, s := range samples {
			if s.At > until+sampleSlack {
				break
			}
			for _, count := range s.Counts {
				switch count.Name {
				case "cpu":
					if count.N < last {
						before += last
					}
					if last = count.N; s.At <= from+sampleSlack || math.IsNaN(first) {
						first = before + last
					}
				case "memory":
					memory = count.N
				}
			}
		}
		if math.IsNaN(first) {
			continue
		}
		all.Processes++
		cpu += before + last - first
		all.Memory += memory
	}
	all.Cores = math.Round(cpu/seconds(until-from)*1e6) / 1e6
	return all
}

// baseline is the arm that the others' cost is compared with.
const baseline = "none"

// over is what a figure has over the baseline's of the same seed; nil without
// one, and for the baseline itself.
func (f Fault) over(arm Arm, figure func(Run) float64) func(Run) *float64 {
	none := slices.IndexFunc(f.Arms, func(a Arm) bool { return a.Name == baseline })
	return func(r Run) *float64 {
		if none < 0 || arm.Name == baseline {
			return nil
		}
		for _, other := range f.Arms[none].Runs {
			if other.Seed == r.Seed {
				return pointer(figure(r) - figure(other))
			}
		}
		return nil
	}
}

// Healthy tells a fault that is none: its runs show what each arm costs.
func (f Fault) Healthy() bool { return f.Rules == "" }

// costs are the table's heads and rows: what each arm adds to the latency, and
// the CPU of 1 000 requests a second.
func (f Fault) costs() (heads []string, rows [][]string) {
	heads = []string{"arm", "good", "p50", "added", "p99", "added", "CPU: services", "proxies", "added", "control plane", "memory: services", "proxies", "added", "control plane"}
	per1000 := 1000 / f.Rate
	both := func(of func(Use) float64) func(Run) float64 {
		return func(r Run) float64 { return of(r.Cost.Services) + of(r.Cost.Proxies) }
	}
	cores, memory := func(u Use) float64 { return u.Cores * per1000 }, func(u Use) float64 { return u.Memory }
	used := func(pick func(Cost) Use, of func(Use) float64) func(Run) *float64 {
		return func(r Run) *float64 {
			if pick(r.Cost).Processes == 0 {
				return nil
			}
			return pointer(of(pick(r.Cost)))
		}
	}
	services, proxies, control := func(c Cost) Use { return c.Services }, func(c Cost) Use { return c.Proxies }, func(c Cost) Use { return c.ControlPlane }
	for _, a := range f.Arms {
		rows = append(rows, []string{
			a.Name,
			a.each(percent, func(r Run) *float64 { return &r.Good }),
			a.each(milliseconds, func(r Run) *float64 { return &r.P50 }),
			a.each(milliseconds, f.over(a, func(r Run) float64 { return r.P50 })),
			a.each(milliseconds, func(r Run) *float64 { return &r.P99 }),
			a.each(milliseconds, f.over(a, func(r Run) float64 { return r.P99 })),
			a.each(ofCores, used(services, cores)),
			a.each(ofCores, used(proxies, cores)),
			a.each(ofCores, f.over(a, both(cores))),
			a.each(ofCores, used(control, cores)),
			a.each(megabytes, used(services, memory)),
			a.each(megabytes, used(proxies, memory)),
			a.each(megabytes, f.over(a, both(memory))),
			a.each(megabytes, used(control, memory)),
		})
	}
	return heads, rows
}

// cost writes the table for people.
func (f Fault) cost(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	heads, rows := f.costs()
	for _, row := range slices.Concat([][]string{heads}, rows) {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	t.Flush()
	fmt.Fprintln(w, "\nCPU is of 1 000 requests a second, in cores; added is over none's, of services and proxies together.")
	fmt.Fprintln(w)
}

// costMarkdown writes it for a README.
func (f Fault) costMarkdown(w io.Writer, all []Fault) {
	fmt.Fprintf(w, "\nWhat an arm costs while nothing fails, at %s requests a second and five vehicles (`%s`). CPU is of 1 000 requests a second; *added* is over *none*, services and proxies together.\n\n", number(f.Rate, 1), f.command(all))
	heads, rows := f.costs()
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat(" --- |", len(heads)))
	for _, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
}
