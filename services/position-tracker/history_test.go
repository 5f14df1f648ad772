package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fleetman.example/kit/fleet"
)

var start = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// at returns a position of vehicle T sent n seconds after start, with the latitude n.
func at(n int) fleet.Position {
	return fleet.Position{Name: "T", Lat: fleet.Decimal(fmt.Sprint(n)), Lng: "-1.50", Timestamp: start.Add(time.Duration(n) * time.Second)}
}

func latitudes(h *history) (newestFirst []string) {
	v, ok := h.find("T")
	if !ok {
		return nil
	}
	for _, p := range v.newestFirst() {
		newestFirst = append(newestFirst, string(p.Lat))
	}
	return newestFirst
}

// historyOf returns a history of at most reports reports per vehicle.
func historyOf(reports int) *history {
	return newHistory(limits{vehicles: 10, reports: reports, total: 1000})
}

// keep adds a report, which must be accepted.
func keep(t *testing.T, h *history, p fleet.Position) {
	t.Helper()
	if err := h.add(p, start); err != nil {
		t.Error(err)
	}
}

func TestHistory(t *testing.T) {
	for name, tc := range map[string]struct {
		sent []int
		want []string
	}{
		"in order":             {[]int{1, 2, 3}, []string{"3", "2", "1"}},
		"late":                 {[]int{1, 3, 2}, []string{"3", "2", "1"}},
		"later than all":       {[]int{2, 3, 1}, []string{"3", "2", "1"}},
		"twice":                {[]int{1, 2, 2, 1}, []string{"2", "1"}},
		"bounded":              {[]int{1, 2, 3, 4, 5, 6}, []string{"6", "5", "4", "3"}},
		"late, within a bound": {[]int{1, 2, 4, 5, 3}, []string{"5", "4", "3", "2"}},
		"older than all kept":  {[]int{2, 3, 4, 5, 1}, []string{"5", "4", "3", "2"}},
		"the one that went":    {[]int{1, 2, 3, 4, 5, 1}, []string{"5", "4", "3", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := historyOf(4)
			for _, n := range tc.sent {
				keep(t, h, at(n))
			}
			if got := latitudes(h); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			v, _ := h.find("T")
			if got := string(v.latest().Lat); got != tc.want[0] {
				t.Errorf("latest: got %s, want %s", got, tc.want[0])
			}
		})
	}
}

func TestSameMillisecondOfReceipt(t *testing.T) {
	h := historyOf(10)
	keep(t, h, at(1))
	keep(t, h, at(2))
	if got := latitudes(h); !slices.Equal(got, []string{"2", "1"}) {
		t.Errorf("got %v", got)
	}
	h.clear()
	if got := latitudes(h); got != nil || len(h.all()) != 0 {
		t.Errorf("after clear: %v", got)
	}
}

// Eight senders send each report twice, in different orders: none is lost or stored twice.
func TestConcurrentReports(t *testing.T) {
	const reports, senders = 500, 8
	h := historyOf(reports)
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for _, n := range rand.New(rand.NewPCG(uint64(sender), 0)).Perm(reports) {
				if n%(senders/2) == sender%(senders/2) {
					keep(t, h, at(n))
				}
				h.all()
			}
		})
	}
	wg.Wait()
	got := latitudes(h)
	if len(got) != reports {
		t.Fatalf("%d reports kept, want %d", len(got), reports)
	}
	for i, lat := range got {
		if want := fmt.Sprint(reports - 1 - i); lat != want {
			t.Fatalf("report %d: got %s, want %s", i, lat, want)
		}
	}
}

// Reports without the sender's timestamp are never repetitions.
func TestReportsOfOneNanosecond(t *testing.T) {
	h := historyOf(10)
	for n := range 4 {
		p := at(n)
		p.Timestamp = time.Time{}
		keep(t, h, p)
	}
	keep(t, h, at(9)) // later
	late := at(4)
	late.Timestamp = time.Time{}
	keep(t, h, late)
	if got, want := latitudes(h), []string{"9", "4", "3", "2", "1", "0"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBounds(t *testing.T) {
	h := newHistory(limits{vehicles: 2, reports: 4, total: 5})
	named := func(name string, n int) fleet.Position {
		p := at(n)
		p.Name = name
		return p
	}
	for n := range 6 {
		keep(t, h, at(n))
	}
	for n := range 3 {
		keep(t, h, named("U", n))
	}
	if err := h.add(named("V", 1), start); err == nil || err.Error() != `name: "V": must be one of the 2 vehicles known (MAX_VEHICLES)` {
		t.Errorf("got %v", err)
	}
	u, _ := h.find("U")
	if got := latitudes(h); !slices.Equal(got, []string{"5", "4", "3", "2"}) || len(u.reports) != 1 || u.latest().Lat != "2" || h.kept.Load() != 5 {
		t.Errorf("kept %v and %v, %d in all", got, u.reports, h.kept.Load())
	}
	h.remove("T")
	h.remove("nobody")
	keep(t, h, named("V", 1))
	keep(t, h, named("U", 3))
	if latitudes(h) != nil || len(h.all()) != 2 || len(u.reports) != 2 || h.kept.Load() != 3 {
		t.Errorf("after one was forgotten: %d vehicles, %v, %d in all", len(h.all()), u.reports, h.kept.Load())
	}
	if h.clear(); h.kept.Load() != 0 {
		t.Errorf("after clear: %d kept", h.kept.Load())
	}
}

// A report received while its vehicle is being deleted is stored.
func TestForgetWhileReporting(t *testing.T) {
	h := historyOf(1000)
	var wg sync.WaitGroup
	for n := range 500 {
		wg.Go(func() { h.remove("T") })
		keep(t, h, at(n))
	}
	wg.Wait()
	if kept := int64(len(latitudes(h))); h.kept.Load() != kept {
		t.Errorf("%d counted, %d kept", h.kept.Load(), kept)
	}
}

// TestReportsWorkIsBounded compares the memory that new vehicles' first reports and known ones' next reports
// allocate, with few vehicles known and with as many as the default allows.
func TestReportsWorkIsBounded(t *testing.T) {
	const reports = 200
	allocated := func(known int) uint64 {
		h := newHistory(limits{vehicles: known + reports, reports: 10, total: 1_000_000})
		add := func(from, to int) {
			for i := from; i < to; i++ {
				p := at(i)
				p.Name = fmt.Sprint("V", i)
				keep(t, h, p)
				p.Timestamp = p.Timestamp.Add(time.Second)
				keep(t, h, p)
			}
		}
		add(0, known)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		add(known, known+reports)
		runtime.ReadMemStats(&after)
		if all := h.all(); len(all) != known+reports || !slices.IsSortedFunc(all, func(a, b *vehicle) int { return strings.Compare(a.name, b.name) }) {
			t.Errorf("%d vehicles, want %d, sorted", len(all), known+reports)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	few, many := allocated(5), allocated(20_000)
	t.Logf("%d bytes with 5 vehicles, %d with 20,000", few/reports, many/reports)
	if many > 4*few { // a copy of the list would be 160 kB a report
		t.Errorf("%d reports allocate %d bytes with 5 vehicles, %d with 20,000", 2*reports, few, many)
	}
}
