package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"fleetman.example/kit/fleet"
)

var start = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// at is a position of vehicle T sent n seconds after start; its latitude tells n.
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
			h := newHistory(4)
			for _, n := range tc.sent {
				h.add(at(n), start)
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
	h := newHistory(10)
	h.add(at(1), start)
	h.add(at(2), start)
	if got := latitudes(h); !slices.Equal(got, []string{"2", "1"}) {
		t.Errorf("got %v", got)
	}
	h.clear()
	if got := latitudes(h); got != nil || len(h.all()) != 0 {
		t.Errorf("after clear: %v", got)
	}
}

// Eight senders, each report sent by two of them in its own order: none is lost, none is twice.
func TestConcurrentReports(t *testing.T) {
	const reports, senders = 500, 8
	h := newHistory(reports)
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for _, n := range rand.New(rand.NewPCG(uint64(sender), 0)).Perm(reports) {
				if n%(senders/2) == sender%(senders/2) {
					h.add(at(n), start)
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
