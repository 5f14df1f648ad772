// Command resample makes the simulator's routes from recorded tracks: the same roads, with points at equal
// distances.
//
//	go run ./resample -from DIR -to routes
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"fleetman.example/services/position-simulator/track"
)

// route is a track and the distance between the points of its route, in metres. A vehicle moves one point
// per second, so step is its speed in m/s, too: 6 m/s is 13 mph (a London street), 12 m/s is 27 mph.
type route struct {
	file string
	step float64
}

var routes = []route{
	{"city_truck", 9},
	{"huddersfield_truck_a", 12},
	{"huddersfield_truck_b", 12},
	{"london_riverside", 6},
	{"village_truck", 12},
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "resample:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("resample", flag.ContinueOnError)
	flags.SetOutput(stderr)
	from := flags.String("from", "", "directory of the recorded tracks")
	to := flags.String("to", "routes", "directory to write the routes to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *from == "" {
		return errors.New("-from: missing: must be the directory of the recorded tracks")
	}
	for _, r := range routes {
		line, err := r.make(*from, *to)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, line)
	}
	return nil
}

// make writes one route and returns a summary.
func (r route) make(from, to string) (string, error) {
	data, err := os.ReadFile(filepath.Join(from, r.file))
	if err != nil {
		return "", err
	}
	t, err := track.Read(r.file, data)
	if err != nil {
		return "", err
	}
	recorded := spots(t.Points)
	loop, cut := closeLoop(recorded)
	even := stride(loop, r.step)
	out := filepath.Join(to, r.file+".gpx")
	if err := os.WriteFile(out, gpx(t.Name, r, even), 0o644); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %d points, one every %g m, %.1f km, from %d recorded (%d repeated, longest gap %.0f m, %.0f m cut off to close the loop)",
		r.file, len(even), r.step, length(even)/1000, len(recorded), repeated(recorded), longest(recorded), cut), nil
}
