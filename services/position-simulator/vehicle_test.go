package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fleetman.example/kit/server/servertest"
	"fleetman.example/services/position-simulator/track"
)

// routeOf returns a route whose points are 0, 1, … n-1 degrees north.
func routeOf(name string, n int) *route {
	t := track.Track{Name: name, File: strings.ToLower(name)}
	for i := range n {
		t.Points = append(t.Points, track.Point{Lat: dec(i), Lng: "0"})
	}
	return newRoute(t)
}

func names(vehicles []*vehicle) []string {
	var n []string
	for _, v := range vehicles {
		n = append(n, v.name)
	}
	return n
}

func TestFleetNames(t *testing.T) {
	for _, tc := range []struct {
		name   string
		tracks []string
		size   int
		want   []string
	}{
		{"fewer than tracks", []string{"A", "B"}, 1, []string{"A"}},
		{"one a track", []string{"A", "B"}, 2, []string{"A", "B"}},
		{"with suffixes", []string{"A", "B"}, 5, []string{"A", "B", "A 2", "B 2", "A 3"}},
		{"a track bears a suffix itself", []string{"A", "A 2"}, 5, []string{"A", "A 2", "A 3", "A 2 2", "A 4"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var routes []*route
			for _, name := range tc.tracks {
				routes = append(routes, routeOf(name, 10))
			}
			if got := names(servertest.Must(newFleet(routes, tc.size, 1))); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	long := strings.Repeat("x", 100)
	if _, err := newFleet([]*route{routeOf(long, 2)}, 2, 1); err == nil || !strings.Contains(err.Error(), "of track "+long+": name: \"x") {
		t.Errorf("a name too long with its suffix: %v", err)
	}
}

// plan returns all that depends on the random numbers of a vehicle.
func plan(v *vehicle) string {
	s := fmt.Sprint(v.name, v.ahead, v.firstDue(time.Second))
	for range 5 {
		s += fmt.Sprint(" ", v.nextDue(time.Second))
	}
	return s
}

func plans(vehicles []*vehicle) []string {
	var p []string
	for _, v := range vehicles {
		p = append(p, plan(v))
	}
	return p
}

func TestSeedReproducesTheFleet(t *testing.T) {
	routes := []*route{routeOf("A", 1000), routeOf("B", 1000)}
	one := plans(servertest.Must(newFleet(routes, 40, 7)))
	if again := plans(servertest.Must(newFleet(routes, 40, 7))); !slices.Equal(one, again) {
		t.Error("the same seed gives different fleets")
	}
	if larger := plans(servertest.Must(newFleet(routes, 90, 7))); !slices.Equal(one, larger[:40]) {
		t.Error("a larger fleet's first vehicles differ")
	}
	other := plans(servertest.Must(newFleet(routes, 40, 8)))
	for i := range one {
		if one[i] == other[i] {
			t.Errorf("vehicle %d does not depend on the seed: %s", i, one[i])
		}
	}
}

func TestSuffixedVehiclesStartElsewhere(t *testing.T) {
	r := routeOf("A", 1000)
	vehicles := servertest.Must(newFleet([]*route{r}, 1001, 3))
	if first := vehicles[0].report(0, time.Time{}); first.Lat != "0" {
		t.Errorf("the first vehicle starts at %s", first.Lat)
	}
	const parts = 4
	var starts [parts]int
	for _, v := range vehicles[1:] {
		if v.report(0, time.Time{}).Lat == "0" {
			t.Errorf("%s starts at the same place as the first one", v.name)
		}
		starts[int(v.ahead*parts/r.period)]++
	}
	for i, n := range starts { // 250 each, standard deviation 14
		if n < 180 || n > 320 {
			t.Errorf("%d of 1000 vehicles start in quarter %d of the route", n, i+1)
		}
	}
}
