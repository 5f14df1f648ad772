package main

import (
	"slices"
	"sync"
	"time"

	"github.com/tidwall/geodesic"

	"fleetman.example/kit/fleet"
)

const (
	windowSize     = 10       // reports kept per vehicle
	maxSpeed       = 70       // mph; higher speeds are treated as bad data, as in the original
	metresPerMile  = 1609.344 // international mile
	secondsPerHour = 3600
)

// fix is a vehicle's position at one time, in WGS84 degrees.
type fix struct {
	lat, lng float64
	at       int64 // ns since 1970
}

// windows stores the last reports of every vehicle, in the order of receipt.
type windows struct {
	most int // largest number of vehicles

	mu     sync.RWMutex
	byName map[string]*window
}

type window struct {
	mu    sync.Mutex
	fixes [windowSize]fix
	count int // reports ever added; the newest is at (count-1) % windowSize
}

func newWindows(most int) *windows { return &windows{most: most, byName: make(map[string]*window)} }

// add stores a report. A repeated report has no effect.
func (w *windows) add(name string, f fix) error {
	v, err := w.window(name)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !slices.Contains(v.fixes[:min(v.count, windowSize)], f) {
		v.fixes[v.count%windowSize] = f
		v.count++
	}
	return nil
}

// window returns a vehicle's window, creating it if necessary.
func (w *windows) window(name string) (*window, error) {
	if v := w.find(name); v != nil {
		return v, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if v := w.byName[name]; v != nil {
		return v, nil
	}
	if len(w.byName) >= w.most {
		return nil, fleet.TooManyVehicles(name, w.most)
	}
	v := new(window)
	w.byName[name] = v
	return v, nil
}

// find returns a vehicle's window, nil if there is none.
func (w *windows) find(name string) *window {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.byName[name]
}

// speed returns the speed between the oldest and the newest report kept, in miles per hour. known is false
// with fewer than two reports, and for bad data.
func (w *windows) speed(name string) (mph float64, known bool) {
	v := w.find(name)
	if v == nil {
		return 0, false
	}
	v.mu.Lock()
	count, fixes := v.count, v.fixes
	v.mu.Unlock()
	if count < 2 {
		return 0, false
	}
	oldest := 0
	if count > windowSize {
		oldest = count % windowSize
	}
	return between(fixes[oldest], fixes[(count-1)%windowSize])
}

// between returns the speed from one report to a later one: 0 if their times are equal, as in the
// original, and unknown if the later one has an earlier time or the speed is above maxSpeed.
func between(from, to fix) (mph float64, known bool) {
	elapsed := time.Duration(to.at - from.at).Seconds()
	if elapsed == 0 {
		return 0, true
	}
	mph = distance(from, to) / metresPerMile / elapsed * secondsPerHour
	if elapsed < 0 || mph > maxSpeed {
		return 0, false
	}
	return mph, true
}

// distance is the length in metres of the geodesic on WGS84 (Karney 2013).
func distance(a, b fix) float64 {
	var metres float64
	geodesic.WGS84.Inverse(a.lat, a.lng, b.lat, b.lng, &metres, nil, nil)
	return metres
}
