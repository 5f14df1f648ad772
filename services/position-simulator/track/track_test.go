package track

import (
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"fleetman.example/kit/golden"
)

const (
	twoLines = "lat=\"53.3798165805637836456298828125\" lon=\"-1.46622528322041034698486328125\"\r\n" +
		"\r\nlat=\"53.0\" lon=\"-1.50\"\r\n"
	timedGPX = `<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1">
<metadata><name>a walk</name></metadata>
<trk><name>Night
 Bus</name>
<trkseg><trkpt lat="1.10" lon="2"><ele>7</ele><time>2026-11-22T08:00:00Z</time></trkpt></trkseg>
<trkseg><trkpt lat="1.20" lon="2.0"><time>2026-11-22T09:00:02.5+01:00</time></trkpt>
<trkpt lat="1.3" lon="-2.00"><time>2026-11-22T08:00:07</time></trkpt></trkseg>
</trk></gpx>`
)

func TestReadKeepsEveryDigit(t *testing.T) {
	for _, tc := range []struct {
		name, file, data string
		want             Track
	}{
		{"lines", "city_truck", twoLines, Track{
			Name: "City Truck", File: "city_truck",
			Points: []Point{
				{"53.3798165805637836456298828125", "-1.46622528322041034698486328125"},
				{"53.0", "-1.50"},
			},
		}},
		{"lines with a byte order mark", "x", "\ufefflat=\"1\" lon=\"2\"\nlat=\"3\" lon=\"4\"", Track{
			Name: "X", File: "x", Points: []Point{{"1", "2"}, {"3", "4"}},
		}},
		{"GPX with times, segments joined", "n.GPX", timedGPX, Track{
			Name: "Night Bus", File: "n.GPX",
			Points: []Point{{"1.10", "2"}, {"1.20", "2.0"}, {"1.3", "-2.00"}},
			At:     []time.Duration{0, 2500 * time.Millisecond, 7 * time.Second},
		}},
		{"GPX without times and name", "milk-float 2.gpx", gpxOf(`<trkpt lat="1" lon="2"/><trkpt lon="2" lat="1"/>`), Track{
			Name: "Milk Float 2", File: "milk-float 2.gpx", Points: []Point{{"1", "2"}, {"1", "2"}},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Read(tc.file, []byte(tc.data))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func gpxOf(points string) string { return "<gpx><trk><trkseg>\n" + points + "\n</trkseg></trk></gpx>" }

func TestReadNamesWhatIsWrong(t *testing.T) {
	const ok = `<trkpt lat="1" lon="2"/><trkpt lat="1" lon="2"/>`
	const at = "<time>2026-11-22T08:00:00Z</time>"
	for _, tc := range []struct{ name, file, data, want string }{
		{"no line form", "f", "lat=\"1\" lon=\"2\"\n1,2\n", `f line 2: expected lat="…" lon="…", found "1,2"`},
		{"cut off", "f", "lat=\"1\" lon=\"2\"\nlat=\"1\" lo", `f line 2: expected lat="…" lon="…", found "lat=\"1\" lo"`},
		{"long line", "f", strings.Repeat("x", 9999), `f line 1: expected lat="…" lon="…", found "` + strings.Repeat("x", 60) + `"…`},
		{"NaN", "f", `lat="NaN" lon="2"`, `f line 1: lat: expected a decimal number from -90 to 90, found "NaN"`},
		{"hexadecimal", "f", `lat="0x1" lon="2"`, `f line 1: lat: expected a decimal number from -90 to 90, found "0x1"`},
		{"no JSON number", "f", `lat="1." lon="2"`, `f line 1: lat: expected a decimal number from -90 to 90, found "1."`},
		{"too far north", "f", `lat="90.1" lon="2"`, `f line 1: lat: expected a decimal number from -90 to 90, found "90.1"`},
		{"too far west", "f", `lat="1" lon="-180.5"`, `f line 1: lon: expected a decimal number from -180 to 180, found "-180.5"`},
		{"too many digits", "f", `lat="1.` + strings.Repeat("0", 99) + `" lon="2"`, `f line 1: lat: expected a decimal number from -90 to 90, found "1.` + strings.Repeat("0", 58) + `"…`},
		{"empty", "f", "", "f: expected at least 2 points, found 0"},
		{"one point", "f", `lat="1" lon="2"`, "f: expected at least 2 points, found 1"},
		{"name of the file", strings.Repeat("f", 300), "lat=\"1\" lon=\"2\"\nlat=\"1\" lon=\"2\"", strings.Repeat("f", 300) + ": name: expected 1 to 100 bytes of printable text without a slash"},

		{"empty GPX", "f.gpx", "", "f.gpx line 1: expected a <gpx> element, found none"},
		{"no XML", "f.gpx", "\nlat=1 & lon=2", "f.gpx line 2: expected well-formed XML: invalid character entity & (no semicolon)"},
		{"KML", "f.gpx", "<kml/>", "f.gpx line 1: expected one <gpx> element, found <kml>"},
		{"cut off GPX", "f.gpx", "<gpx><trk>\n<trkseg>", "f.gpx line 2: expected well-formed XML: <trkseg> is not closed"},
		{"crossed", "f.gpx", "<gpx>\n<trk>\n</gpx></trk>", "f.gpx line 3: expected well-formed XML: </gpx> closes no element"},
		{"two documents", "f.gpx", gpxOf(ok) + "\n<gpx/>", "f.gpx line 4: expected one <gpx> element, found <gpx>"},
		{"two tracks", "f.gpx", "<gpx><trk/>\n<trk/></gpx>", "f.gpx line 2: expected one <trk> a file, found a second one"},
		{"another encoding", "f.gpx", `<?xml version="1.0" encoding="UTF-16"?><gpx/>`, `expected UTF-8, found the encoding "UTF-16"`},
		{"bottomless", "f.gpx", "<gpx>" + strings.Repeat("<a>", 99), "f.gpx line 1: expected elements at most 64 deep"},
		{"no points", "f.gpx", "<gpx><wpt lat='1' lon='2'/></gpx>", "f.gpx: expected at least 2 points, found 0"},
		{"no lon", "f.gpx", gpxOf(`<trkpt lat="1"/>`), `f.gpx line 2: <trkpt> lon: expected a decimal number from -180 to 180, found ""`},
		{"time out of nowhere", "f.gpx", gpxOf(`<trkpt lat="1" lon="2"><time>noon</time></trkpt>`), `f.gpx line 2: <time>: expected a time like 2026-11-22T08:05:36Z, found "noon"`},
		{"time missing", "f.gpx", gpxOf(`<trkpt lat="1" lon="2">` + at + "</trkpt>\n<trkpt lat='1' lon='2'/>"), "f.gpx line 3: <trkpt> has no <time>: expected one at every point or at none"},
		{"time too late", "f.gpx", gpxOf("<trkpt lat='1' lon='2'/>\n<trkpt lat='1' lon='2'>" + at + "</trkpt>"), "f.gpx line 3: <time>: expected one at every point or at none, but earlier points have none"},
		{"two times", "f.gpx", gpxOf(`<trkpt lat="1" lon="2">` + at + at + `</trkpt>`), "f.gpx line 2: <trkpt>: expected one <time>, found a second one"},
		{"time backwards", "f.gpx", gpxOf(`<trkpt lat="1" lon="2">` + at + "</trkpt>\n<trkpt lat='1' lon='2'><time>2026-11-22T07:59:59Z</time></trkpt>"), `f.gpx line 3: <time>: expected no time before the former point's, found "2026-11-22T07:59:59Z"`},
		{"a year's journey", "f.gpx", gpxOf(`<trkpt lat="1" lon="2">` + at + "</trkpt>\n<trkpt lat='1' lon='2'><time>2027-11-22T08:00:00Z</time></trkpt>"), `f.gpx line 3: <time>: expected a journey of at most 720h0m0s, found "2027-11-22T08:00:00Z"`},
		{"time stands still", "f.gpx", gpxOf(strings.Repeat(`<trkpt lat="1" lon="2">`+at+`</trkpt>`, 2)), "<time>: expected times that go on, but all points have the same"},
		{"name with a slash", "f.gpx", strings.Replace(gpxOf(ok), "<trk>", "<trk><name>a/b</name>", 1), "f.gpx line 1: name: expected 1 to 100 bytes of printable text without a slash"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Read(tc.file, []byte(tc.data))
			if err == nil {
				t.Fatalf("read %+v, expected an error", got)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %s\nwant %s", err, tc.want)
			}
		})
	}
}

func TestReadLimits(t *testing.T) {
	line := "lat=\"1\" lon=\"2\"\n"
	if _, err := Read("f", []byte(strings.Repeat(line, MaxPoints+1))); err == nil || !strings.Contains(err.Error(), "f line 1000001: expected at most 1000000 points") {
		t.Errorf("too many points: %v", err)
	}
	dir := t.TempDir()
	big, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	if err := big.Truncate(MaxFileBytes + 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadDir(os.DirFS(dir)); err == nil || err.Error() != "big: 33554433 bytes, expected at most 33554432" {
		t.Errorf("too large a file: %v", err)
	}
}

func TestReadDir(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	t.Run("by name, without what is no track", func(t *testing.T) {
		tracks, ignored, err := ReadDir(fstest.MapFS{
			"z_truck": file(twoLines), "a.gpx": file(gpxOf(`<trkpt lat="1" lon="2"/><trkpt lat="1" lon="2"/>`)),
			"README.md": file("# not a track"), "README": file("neither"), ".hidden": file("nor this"),
			"old/b": file("in a directory"), "a.gpx~": file("a copy"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(tracks) != 2 || tracks[0].Name != "A" || tracks[1].Name != "Z Truck" {
			t.Errorf("tracks %+v", tracks)
		}
		if got := strings.Join(ignored, " "); got != ".hidden README README.md a.gpx~ old" {
			t.Errorf("ignored %q", got)
		}
	})
	for _, tc := range []struct {
		name string
		fs   fstest.MapFS
		want string
	}{
		{"nothing there", fstest.MapFS{"README.md": file("")}, `no tracks: expected files NAME.gpx, or files without an extension with one lat="…" lon="…" a line`},
		{"one vehicle twice", fstest.MapFS{"a_b": file(twoLines), "a-b": file(twoLines)}, `a_b: expected one track a vehicle, but "A B" is in a-b too`},
		{"all broken files", fstest.MapFS{"a": file("?"), "b": file(twoLines), "c.gpx": file("<kml/>")}, "a line 1: expected lat=\"…\" lon=\"…\", found \"?\"\nc.gpx line 1: expected one <gpx> element, found <kml>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tracks, _, err := ReadDir(tc.fs)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v %v\nwant %s", tracks, err, tc.want)
			}
		})
	}
	t.Run("linked as in a mounted ConfigMap, and a pipe does not hang", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "..data"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "..data", "van"), []byte(twoLines), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", "van"), filepath.Join(dir, "van")); err != nil {
			t.Fatal(err)
		}
		makePipe(t, filepath.Join(dir, "pipe"))
		tracks, _, err := ReadDir(os.DirFS(dir))
		if err != nil || len(tracks) != 1 || tracks[0].Name != "Van" {
			t.Errorf("tracks %+v, %v", tracks, err)
		}
	})
}

// The recorded tracks and what their README says of them.
func TestReadRecordedTracks(t *testing.T) {
	dir := golden.Shared(t, "tracks")
	tracks, ignored, err := ReadDir(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(ignored, " ") != "README.md" {
		t.Errorf("ignored %q", ignored)
	}
	want := map[string]int{"City Truck": 7699, "Huddersfield Truck A": 1648, "Huddersfield Truck B": 7118, "London Riverside": 1538, "Village Truck": 6698}
	for _, tr := range tracks {
		if len(tr.Points) != want[tr.Name] {
			t.Errorf("%s: %d points, want %d", tr.Name, len(tr.Points), want[tr.Name])
		}
		data, err := os.ReadFile(filepath.Join(dir, tr.File))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Fields(string(data))
		for i, p := range tr.Points {
			if lines[2*i] != "lat="+strconv.Quote(string(p.Lat)) || lines[2*i+1] != "lon="+strconv.Quote(string(p.Lng)) {
				t.Fatalf("%s point %d: %+v, want %s", tr.Name, i, p, lines[2*i:2*i+2])
			}
		}
		delete(want, tr.Name)
	}
	if len(want) != 0 {
		t.Errorf("missing %v", want)
	}
}
