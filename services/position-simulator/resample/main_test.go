package main

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fleetman.example/kit/golden"
	"fleetman.example/kit/server/servertest"
	"fleetman.example/services/position-simulator/track"
)

// haversine computes the distance independently, on a sphere: it differs from the ellipsoid by less than 0.4 %
// in Britain.
func haversine(a, b spot) float64 {
	rad := math.Pi / 180
	h := math.Pow(math.Sin((b.lat-a.lat)*rad/2), 2) +
		math.Cos(a.lat*rad)*math.Cos(b.lat*rad)*math.Pow(math.Sin((b.lng-a.lng)*rad/2), 2)
	return 2 * 6371008.8 * math.Asin(math.Sqrt(h))
}

func readFile(dir, file string) []byte { return servertest.Must(os.ReadFile(filepath.Join(dir, file))) }

// readTrack returns the points of a track, which must be without times.
func readTrack(t *testing.T, dir, file string) []spot {
	t.Helper()
	tr := servertest.Must(track.Read(file, readFile(dir, file)))
	if tr.At != nil {
		t.Errorf("%s has times", file)
	}
	return spots(tr.Points)
}

func TestRoutesAreEven(t *testing.T) {
	sevenDecimals := regexp.MustCompile(`^<trkpt lat="5[0-9]\.[0-9]{7}" lon="-[01]\.[0-9]{7}"/>$`)
	for _, r := range routes {
		t.Run(r.file, func(t *testing.T) {
			points := readTrack(t, "../routes", r.file+".gpx")
			if len(points) < 1500 {
				t.Errorf("%d points, want 1500 or more", len(points))
			}
			for i := 1; i < len(points); i++ {
				if d := haversine(points[i-1], points[i]); math.Abs(d-r.step) > r.step/100 {
					t.Fatalf("point %d is %.3f m from the one before, want %g within 1 %%", i+1, d, r.step)
				}
			}
			if hop := haversine(points[len(points)-1], points[0]); hop > 2*r.step {
				t.Errorf("at the end of the route a vehicle jumps %.0f m", hop)
			}
			data := readFile("../routes", r.file+".gpx")
			for line := range strings.SplitSeq(string(data), "\n") {
				if strings.HasPrefix(line, "<trkpt") && !sevenDecimals.MatchString(line) {
					t.Fatalf("line %s", line)
				}
			}
			if !bytes.Contains(data, []byte("DickChesterwood/istio-fleetman")) {
				t.Error("no credit to the source")
			}
		})
	}
}

func TestRoutesAreMadeOfTheRecordings(t *testing.T) {
	recordings := golden.Shared(t, "tracks")
	dir := t.TempDir()
	if err := run([]string{"-from", recordings, "-to", dir}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if file := r.file + ".gpx"; !bytes.Equal(readFile(dir, file), readFile("../routes", file)) {
			t.Errorf("%s.gpx is not what go run ./resample makes", r.file)
		}
	}
}

// Every point of a route is on a line between two recorded points, except for the rounding to seven decimals.
func TestRoutesStayOnTheRoad(t *testing.T) {
	recordings := golden.Shared(t, "tracks")
	for _, r := range routes {
		road := readTrack(t, recordings, r.file)
		for i, p := range readTrack(t, "../routes", r.file+".gpx") {
			if d := offRoad(p, road); d > 0.02 {
				t.Errorf("%s point %d is %.3f m off the road", r.file, i+1, d)
				break
			}
		}
	}
}

func offRoad(at spot, road []spot) float64 {
	p, best := planeAt(at), math.Inf(1)
	ax, ay := p.xy(road[0])
	for _, s := range road[1:] {
		bx, by := p.xy(s)
		dx, dy := bx-ax, by-ay
		t := 0.0
		if q := dx*dx + dy*dy; q > 0 {
			t = min(1, max(0, -(ax*dx+ay*dy)/q))
		}
		best = min(best, math.Hypot(ax+t*dx, ay+t*dy))
		ax, ay = bx, by
	}
	return best
}

func TestRunErrors(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "-from: missing: must be the directory of the recorded tracks"},
		{[]string{"-from", t.TempDir()}, "city_truck: no such file"},
		{[]string{"-form", "x"}, "flag provided but not defined"},
	} {
		err := run(append(tc.args, "-to", t.TempDir()), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: got %v, want %s", tc.args, err, tc.want)
		}
	}
}
