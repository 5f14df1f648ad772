package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// place is the exact position of a point of a route.
type place struct{ lat, lng float64 }

// route is a shipped track. A vehicle moves by one point every second.
type route struct {
	points []position
	index  map[place]int
}

var (
	gpxName  = regexp.MustCompile(`<name>([^<]+)</name>`)
	gpxPoint = regexp.MustCompile(`<trkpt lat="([^"]+)" lon="([^"]+)"`)
)

// shippedRoutes returns the routes, keyed by their vehicles' names.
func shippedRoutes(t testing.TB) map[string]route {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "services", "position-simulator", "routes", "*.gpx"))
	require.NoError(t, err)
	routes := map[string]route{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		name := gpxName.FindSubmatch(text)
		require.NotNil(t, name, "%s has no name", file)
		r := route{index: map[place]int{}}
		for _, p := range gpxPoint.FindAllSubmatch(text, -1) {
			lat, err := strconv.ParseFloat(string(p[1]), 64)
			lng, other := strconv.ParseFloat(string(p[2]), 64)
			require.NoError(t, errors.Join(err, other), file)
			r.index[place{lat, lng}] = len(r.points)
			r.points = append(r.points, position{Lat: lat, Lng: lng})
		}
		routes[string(name[1])] = r
	}
	require.Len(t, routes, 5)
	return routes
}

// window is the time over which a speed is computed, in seconds: about ten reports, 200 ms apart.
const window = 2

// speed returns a vehicle's speed at a point, in miles per hour, along the straight line of the last window.
func (r route) speed(at int) float64 {
	return meters(r.points[at-window], r.points[at]) / window / 0.44704
}

// drive is the observed drive of a vehicle.
type drive struct {
	points         int           // number of points driven
	took           time.Duration // from the receipt of the first report to that of the last
	samples        int
	reported, want float64    // sums of speeds, of the fleet and of the route
	odd            []position // not on the route
}

// watch observes all vehicles for some time after they have speeds.
func watch(t testing.TB, page string, routes map[string]route, long time.Duration) map[string]*drive {
	t.Helper()
	drives, last := map[string]*drive{}, map[string]string{}
	began, from := map[string]time.Time{}, map[string]int{}
	await(t, "all vehicles to drive for a while", func() bool {
		done := false
		for name, p := range latest(t, page) {
			at, known := routes[name].index[place{p.Lat, p.Lng}]
			if drives[name] == nil {
				drives[name] = &drive{}
			}
			d := drives[name]
			switch {
			case !known:
				d.odd = append(d.odd, p)
				continue
			case p.Speed == nil || at <= window || p.Timestamp == last[name]:
				continue
			case d.samples == 0:
				began[name], from[name] = p.time(t), at
			}
			last[name] = p.Timestamp
			d.samples++
			d.reported += *p.Speed
			d.want += routes[name].speed(at)
			d.points = at - from[name]
			d.took = p.time(t).Sub(began[name])
		}
		for _, d := range drives {
			if d.took < long {
				return false
			}
			done = true
		}
		return done && len(drives) == len(routes)
	})
	return drives
}

const (
	// paceMargin is how far a drive may be from one point a second, in seconds: one at each end, and half of
	// one for a busy machine.
	paceMargin = 2.5
	// speedMargin is the maximum relative error of the mean speed. That of a single speed, over two
	// seconds, is up to a third.
	speedMargin = 0.25
)

// implausible returns why a drive along a route is implausible, or "".
func (d *drive) implausible(r route) string {
	if len(d.odd) > 0 {
		return fmt.Sprintf("not on its route: %+v", d.odd[0])
	}
	seconds := d.took.Seconds()
	if off := float64(d.points) - seconds; off < -paceMargin || off > paceMargin {
		return fmt.Sprintf("%d points in %.1f s, want one a second", d.points, seconds)
	}
	if ratio := d.reported / d.want; d.samples < 10 || !(ratio > 1-speedMargin && ratio < 1+speedMargin) {
		return fmt.Sprintf("%.1f mph on average of %d reports, %.1f by its route of %d points", d.reported/float64(d.samples), d.samples, d.want/float64(d.samples), len(r.points))
	}
	return ""
}

// The bounds of TestFleet distinguish a speed from its double and its half.
func TestImplausible(t *testing.T) {
	right := drive{points: 7, took: 6 * time.Second, samples: 30, reported: 30 * 21, want: 30 * 20}
	for name, tc := range map[string]struct {
		change func(*drive)
		want   string
	}{
		"right":           {func(*drive) {}, ""},
		"speeds doubled":  {func(d *drive) { d.reported *= 2 }, "42.0 mph on average of 30 reports, 20.0 by its route of 0 points"},
		"speeds halved":   {func(d *drive) { d.reported /= 2 }, "10.5 mph on average of 30 reports, 20.0 by its route of 0 points"},
		"speeds in km/h":  {func(d *drive) { d.reported *= 1.609 }, "33.8 mph on average of 30 reports, 20.0 by its route of 0 points"},
		"drives doubly":   {func(d *drive) { d.points *= 2 }, "14 points in 6.0 s, want one a second"},
		"stands":          {func(d *drive) { d.points = 0 }, "0 points in 6.0 s, want one a second"},
		"beside its road": {func(d *drive) { d.odd = []position{{Name: "X"}} }, "not on its route: {Name:X Lat:0 Lng:0 Timestamp: Speed:<nil>}"},
	} {
		d := right
		tc.change(&d)
		assert.Equal(t, tc.want, d.implausible(route{}), name)
	}
}
