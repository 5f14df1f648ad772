package track

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fleetman.example/kit/fleet"
)

// Limits of a directory of tracks.
const (
	MaxFileBytes = 32 << 20            // size of a file
	MaxPoints    = 1_000_000           // points of all files
	MaxDuration  = 30 * 24 * time.Hour // of one track
)

// Track is a vehicle's recorded track.
type Track struct {
	Name   string // of the vehicle
	File   string
	Points []Point
	// At is the time of each point since the first one, in ascending order; nil for a track without times.
	At []time.Duration
}

// Point has WGS84 degrees with all digits of the file.
type Point struct{ Lat, Lng fleet.Decimal }

// ReadDir reads all tracks in a directory. It returns them sorted by name, with the names of files that are
// not tracks. The error has all broken files.
func ReadDir(fsys fs.FS) (tracks []Track, ignored []string, err error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, nil, err
	}
	results := readAll(fsys, entries)
	var broken []error
	files, points := map[string]string{}, 0
	for _, r := range results {
		t := r.track
		first, taken := files[t.Name]
		points += len(t.Points)
		switch {
		case errors.Is(r.err, errNoTrack):
			ignored = append(ignored, r.file)
		case r.err != nil:
			broken = append(broken, r.err)
		case taken:
			broken = append(broken, fmt.Errorf("%s: name: %q: must differ from that in %s", r.file, t.Name, first))
		default:
			files[t.Name] = r.file
			tracks = append(tracks, t)
		}
	}
	if points > MaxPoints {
		broken = append(broken, fmt.Errorf("points: %d in %d tracks: must be at most %d", points, len(tracks), MaxPoints))
	}
	if len(tracks)+len(broken) == 0 {
		broken = append(broken, errors.New(`no tracks: must have files NAME.gpx, or files without an extension with one lat="…" lon="…" a line`))
	}
	if err := errors.Join(broken...); err != nil {
		return nil, ignored, err
	}
	slices.SortFunc(tracks, func(a, b Track) int { return strings.Compare(a.Name, b.Name) })
	return tracks, ignored, nil
}

type result struct {
	file  string
	track Track
	err   error
}

// readAll reads the files concurrently: encoding/xml takes some 2 µs per point, and the simulator must be
// ready 50 ms after its start.
func readAll(fsys fs.FS, entries []fs.DirEntry) []result {
	results := make([]result, len(entries))
	var points atomic.Int64
	var group sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, e := range entries {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			r := &results[i]
			r.file = e.Name()
			if points.Load() > MaxPoints {
				r.err = fmt.Errorf("%s: not read: earlier tracks have more than %d points", r.file, MaxPoints)
				return
			}
			r.track, r.err = readFile(fsys, r.file)
			points.Add(int64(len(r.track.Points)))
		})
	}
	group.Wait()
	return results
}

// isTrack reports whether a file is a track, by its name alone: a broken track must be an error and not be
// ignored.
func isTrack(file string) bool {
	if strings.HasPrefix(file, ".") {
		return false
	}
	switch ext := path.Ext(file); {
	case strings.EqualFold(ext, ".gpx"):
		return true
	case ext != "":
		return false
	}
	switch strings.ToUpper(file) {
	case "README", "LICENSE", "NOTICE", "COPYING", "MAKEFILE":
		return false
	}
	return true
}

var errNoTrack = errors.New("no track")

// readFile reads a file, or a symbolic link to one, as in a mounted ConfigMap. It returns errNoTrack for
// other files, such as pipes and directories.
func readFile(fsys fs.FS, file string) (Track, error) {
	if !isTrack(file) {
		return Track{}, errNoTrack
	}
	info, err := fs.Stat(fsys, file)
	switch {
	case err != nil:
		return Track{}, err
	case !info.Mode().IsRegular():
		return Track{}, errNoTrack
	case info.Size() > MaxFileBytes:
		return Track{}, fmt.Errorf("%s: %d bytes: must be at most %d", file, info.Size(), MaxFileBytes)
	}
	data, err := fs.ReadFile(fsys, file)
	if err != nil {
		return Track{}, err
	}
	return Read(file, data)
}

// Read parses a track: GPX if the file's name ends in .gpx, otherwise one point per line. Errors have the
// form "FILE: line N: FIELD: GOT: must be …".
func Read(file string, data []byte) (Track, error) {
	read := readLines
	if strings.EqualFold(path.Ext(file), ".gpx") {
		read = readGPX
	}
	t, err := read(data)
	if err != nil {
		return Track{}, fmt.Errorf("%s: %w", file, err)
	}
	if len(t.Points) < 2 {
		return Track{}, fmt.Errorf("%s: points: %d: must be at least 2", file, len(t.Points))
	}
	compact(t.Points)
	t.File = file
	if t.Name == "" {
		t.Name = nameOf(file)
	}
	if err := fleet.CheckName(t.Name); err != nil {
		return Track{}, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// compact moves the coordinates of points into one string. Each is a small string of its own before, among
// those that parsing leaves as garbage, which so could not be returned to the operating system.
func compact(points []Point) {
	var b strings.Builder
	for _, p := range points {
		b.WriteString(string(p.Lat) + string(p.Lng))
	}
	rest := fleet.Decimal(b.String())
	for i, p := range points {
		lat, lng := len(p.Lat), len(p.Lng)
		points[i] = Point{rest[:lat], rest[lat : lat+lng]}
		rest = rest[lat+lng:]
	}
}

// nameOf returns the vehicle's name for a file: "City Truck" for "city_truck.gpx".
func nameOf(file string) string {
	words := strings.FieldsFunc(strings.TrimSuffix(file, path.Ext(file)), func(r rune) bool {
		return r == '_' || r == '-' || r == ' '
	})
	for i, w := range words {
		r := []rune(w)
		words[i] = strings.ToUpper(string(r[:1])) + string(r[1:])
	}
	return strings.Join(words, " ")
}
