package main

import (
	"embed"
	"io/fs"
	"os"
	"sort"
	"time"

	"fleetman.example/services/position-simulator/track"
)

//go:embed routes/*.gpx
var shipped embed.FS

// pointEvery is the time between two points of a track without times, and the time that a vehicle stays at
// the last point of any track before it starts again.
const pointEvery = time.Second

// route is a track that starts again at its end, after period.
type route struct {
	track.Track
	period time.Duration
}

func newRoute(t track.Track) *route {
	if t.At != nil {
		return &route{t, t.At[len(t.At)-1] + pointEvery}
	}
	return &route{t, time.Duration(len(t.Points)) * pointEvery}
}

// at returns the last point reached after driving for a time.
func (r *route) at(driven time.Duration) track.Point {
	driven %= r.period
	if r.At == nil {
		return r.Points[driven/pointEvery]
	}
	i := sort.Search(len(r.At), func(i int) bool { return r.At[i] > driven })
	return r.Points[i-1]
}

// loadRoutes reads the routes in dir, or the embedded ones if dir is empty. It returns them sorted by
// vehicle name, with the names of files in dir that are not tracks.
func loadRoutes(dir string) (routes []*route, ignored []string, err error) {
	var fsys fs.FS
	if dir == "" {
		fsys, err = fs.Sub(shipped, "routes")
	} else {
		fsys = os.DirFS(dir)
	}
	if err != nil {
		return nil, nil, err
	}
	tracks, ignored, err := track.ReadDir(fsys)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range tracks {
		routes = append(routes, newRoute(t))
	}
	return routes, ignored, nil
}
