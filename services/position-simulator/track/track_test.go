package track

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unsafe"

	"fleetman.example/kit/golden"
	"fleetman.example/kit/server/servertest"
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

func TestReadErrors(t *testing.T) {
	const ok = `<trkpt lat="1" lon="2"/><trkpt lat="1" lon="2"/>`
	const at = "<time>2026-11-22T08:00:00Z</time>"
	for _, tc := range []struct{ name, file, data, want string }{
		{"no line form", "f", "lat=\"1\" lon=\"2\"\n1,2\n", `f: line 2: "1,2": must be lat="…" lon="…"`},
		{"cut off", "f", "lat=\"1\" lon=\"2\"\nlat=\"1\" lo", `f: line 2: "lat=\"1\" lo": must be lat="…" lon="…"`},
		{"long line", "f", strings.Repeat("x", 9999), `f: line 1: "` + strings.Repeat("x", 60) + `"…: must be lat="…" lon="…"`},
		{"NaN", "f", `lat="NaN" lon="2"`, `f: line 1: lat: "NaN": must be a decimal number from -90 to 90`},
		{"hexadecimal", "f", `lat="0x1" lon="2"`, `f: line 1: lat: "0x1": must be a decimal number from -90 to 90`},
		{"no JSON number", "f", `lat="1." lon="2"`, `f: line 1: lat: "1.": must be a decimal number from -90 to 90`},
		{"too far north", "f", `lat="90.1" lon="2"`, `f: line 1: lat: "90.1": must be a decimal number from -90 to 90`},
		{"too far west", "f", `lat="1" lon="-180.5"`, `f: line 1: lon: "-180.5": must be a decimal number from -180 to 180`},
		{"too many digits", "f", `lat="1.` + strings.Repeat("0", 99) + `" lon="2"`, `f: line 1: lat: "1.` + strings.Repeat("0", 58) + `"…: must be a decimal number from -90 to 90`},
		{"empty", "f", "", "f: points: 0: must be at least 2"},
		{"one point", "f", `lat="1" lon="2"`, "f: points: 1: must be at least 2"},
		{"name of the file", strings.Repeat("f", 300), "lat=\"1\" lon=\"2\"\nlat=\"1\" lon=\"2\"", strings.Repeat("f", 300) + ": name: \"" + "F" + strings.Repeat("f", 59) + "…\": must be 1 to 100 bytes of printable text, not blank, . or .., without slash and backslash"},

		{"empty GPX", "f.gpx", "", "f.gpx: line 1: root: missing: must be one <gpx>"},
		{"no XML", "f.gpx", "\nlat=1 & lon=2", "f.gpx: line 2: invalid character entity & (no semicolon): must be well-formed XML"},
		{"KML", "f.gpx", "<kml/>", "f.gpx: line 1: root: <kml>: must be one <gpx>"},
		{"cut off GPX", "f.gpx", "<gpx><trk>\n<trkseg>", "f.gpx: line 2: <trkseg>: not closed: must be well-formed XML"},
		{"crossed", "f.gpx", "<gpx>\n<trk>\n</gpx></trk>", "f.gpx: line 3: </gpx>: closes no element: must be well-formed XML"},
		{"two documents", "f.gpx", gpxOf(ok) + "\n<gpx/>", "f.gpx: line 4: root: <gpx>: must be one <gpx>"},
		{"two tracks", "f.gpx", "<gpx><trk/>\n<trk/></gpx>", "f.gpx: line 2: <trk>: second one: must be one per file"},
		{"another encoding", "f.gpx", `<?xml version="1.0" encoding="UTF-16"?><gpx/>`, `encoding: "UTF-16": must be UTF-8`},
		{"bottomless", "f.gpx", "<gpx>" + strings.Repeat("<a>", 99), "f.gpx: line 1: <a>: 65 deep: must be at most 64"},
		{"no points", "f.gpx", "<gpx><wpt lat='1' lon='2'/></gpx>", "f.gpx: line 1: <gpx>: no <trk> but 1 <wpt>, which are places: must have a <trk> with points"},
		{"no lon", "f.gpx", gpxOf(`<trkpt lat="1"/>`), `f.gpx: line 2: <trkpt>: lon: "": must be a decimal number from -180 to 180`},
		{"time out of nowhere", "f.gpx", gpxOf(`<trkpt lat="1" lon="2"><time>noon</time></trkpt>`), `f.gpx: line 2: <time>: "noon": must be a time such as 2026-11-22T08:05:36Z`},
		{"time missing", "f.gpx", gpxOf(`<trkpt lat="1" lon="2">` + at + "</trkpt>\n<trkpt lat='1' lon='2'/>"), "f.gpx: line 3: <time>: missing: must be at every point or at none"},
		{"time too late", "f.gpx", gpxOf("<trkpt lat='1' lon='2'/>\n<trkpt lat='1' lon='2'>" + at + "</trkpt>"), "f.gpx: line 3: <time>: missing at earlier points: must be at every point or at none"},
		{"two times", "f.gpx", gpxOf(`<trkpt lat="1" lon="2">` + at + at + `</trkpt>`), "f.gpx: line 2: <time>: second one: must be one per point"},
		{"time backwards", "f.gpx", gpxOf(`<trkpt lat="1" lon="2">` + at + "</trkpt>\n<trkpt lat='1' lon='2'><time>2026-11-22T07:59:59Z</time></trkpt>"), `f.gpx: line 3: <time>: "2026-11-22T07:59:59Z": must not be before that of the previous point`},
		{"a year's journey", "f.gpx", gpxOf(`<trkpt lat="1" lon="2">` + at + "</trkpt>\n<trkpt lat='1' lon='2'><time>2027-11-22T08:00:00Z</time></trkpt>"), `f.gpx: line 3: <time>: "2027-11-22T08:00:00Z": must be at most 720h0m0s after the first`},
		{"time stands still", "f.gpx", gpxOf(strings.Repeat(`<trkpt lat="1" lon="2">`+at+`</trkpt>`, 2)), "<time>: equal at all points: must increase"},
		{"name with a slash", "f.gpx", strings.Replace(gpxOf(ok), "<trk>", "<trk><name>a/b</name>", 1), `f.gpx: line 1: <trk>: name: "a/b": must be 1 to 100 bytes of printable text, not blank, . or .., without slash and backslash`},
		{"a date for a name", "f.gpx", strings.Replace(gpxOf(ok), "<trk>", "<trk><name>8/22/2014 18:48</name>", 1), `f.gpx: line 1: <trk>: name: "8/22/2014 18:48": must be 1 to 100 bytes of printable text, not blank, . or .., without slash and backslash`},
		{"a route", "f.gpx", "<gpx><rte><name>r</name><rtept lat='1' lon='1'/><rtept lat='1' lon='2'/></rte></gpx>", "f.gpx: line 1: <gpx>: no <trk> but 1 <rte>, which are plans without the road between their points: must have a <trk> with points"},
		{"nothing in it", "f.gpx", "<gpx/>", "f.gpx: line 1: <gpx>: no <trk>: must have a <trk> with points"},
		{"an empty track", "f.gpx", "<gpx><trk/></gpx>", "f.gpx: line 1: <gpx>: a <trk> without <trkpt>: must have a <trk> with points"},
		{"an exponent", "f.gpx", gpxOf(`<trkpt lat="1e1" lon="2"/>`), `<trkpt>: lat: "1e1": must be a decimal number from -90 to 90`},
		{"two signs", "f.gpx", gpxOf(`<trkpt lat="+-1" lon="2"/>`), `<trkpt>: lat: "+-1": must be a decimal number from -90 to 90`},
		{"a point alone", "f.gpx", gpxOf(`<trkpt lat="." lon="2"/>`), `<trkpt>: lat: ".": must be a decimal number from -90 to 90`},
		{"a foreign root", "f.gpx", `<gpx xmlns="urn:x"/>`, `f.gpx: line 1: <gpx>: foreign namespace: must be http://www.topografix.com/GPX/1/1 or http://www.topografix.com/GPX/1/0`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Read(tc.file, []byte(tc.data))
			if err == nil {
				t.Fatalf("got %+v, want an error", got)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %s\nwant %s", err, tc.want)
			}
		})
	}
}

// Elements of a foreign namespace are ignored, whatever their names are.
func TestReadGPXNamespaces(t *testing.T) {
	const points = `<trkseg><trkpt lat="1" lon="2"/><trkpt lat="1" lon="3"/></trkseg>`
	for name, data := range map[string]string{
		"prefix":              `<gpx xmlns="http://www.topografix.com/GPX/1/0" xmlns:x="urn:x"><trk><name>Van</name><x:name>Other</x:name>` + points + `</trk></gpx>`,
		"declared in place":   `<gpx xmlns="http://www.topografix.com/GPX/1/1"><trk><name>Van</name><name xmlns="urn:x">Other</name>` + points + `</trk></gpx>`,
		"within":              `<gpx><trk><name>Va<x:b>u</x:b>n</name><extensions><x:trk><name>Other</name></x:trk></extensions>` + points + `</trk></gpx>`,
		"a track":             `<gpx xmlns:x="urn:x"><x:trk><name>Other</name></x:trk><trk><name>Van</name>` + points + `</trk></gpx>`,
		"GPX has the prefix":  strings.NewReplacer("</", "</g:", "<", "<g:").Replace(`<gpx xmlns:g="http://www.topografix.com/GPX/1/1"><trk><name>Van</name>` + points + `</trk></gpx>`),
		"a foreign attribute": `<gpx><trk><name>Van</name>` + strings.Replace(points, `lat="1"`, `x:lat="9" lat="1"`, 1) + `</trk></gpx>`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read("f.gpx", []byte(data))
			if want := []Point{{"1", "2"}, {"1", "3"}}; err != nil || got.Name != "Van" || !reflect.DeepEqual(got.Points, want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// GPX's degrees are xsd:decimal, whose syntax differs from that of JSON numbers.
func TestReadGPXDecimals(t *testing.T) {
	for in, want := range map[string]string{
		"53.3798165805637836456298828125": "53.3798165805637836456298828125", "+1.50": "1.50", "01.5": "1.5", "-007": "-7", "1.": "1", ".5": "0.5", "-.50": "-0.50",
		"00": "0", " 1.5\t": "1.5", "-0.0": "-0.0",
	} {
		got, err := Read("f.gpx", []byte(gpxOf(`<trkpt lat="`+in+`" lon="2"/><trkpt lat="1" lon="2"/>`)))
		if err != nil || string(got.Points[0].Lat) != want {
			t.Errorf("%q: got %v, %v, want %s", in, got.Points, err, want)
		}
	}
}

// The shared examples are like users' files.
func TestReadSharedCases(t *testing.T) {
	for file, want := range map[string]string{
		"gpx-foreign-name.gpx": "Morning Van",
		"gpx-name-date.gpx":    `gpx-name-date.gpx: line 1: <trk>: name: "8/22/2014 18:48": must be 1 to 100 bytes of printable text, not blank, . or .., without slash and backslash`,
		"gpx-route-only.gpx":   "gpx-route-only.gpx: line 2: <gpx>: no <trk> but 1 <rte>, which are plans without the road between their points: must have a <trk> with points",
	} {
		data := servertest.Must(os.ReadFile(golden.Shared(t, "cases", file)))
		track, err := Read(file, data)
		if got := track.Name; err == nil && got != want || err != nil && err.Error() != want {
			t.Errorf("%s: got %q, %v", file, got, err)
		}
	}
}

func TestReadLimits(t *testing.T) {
	line := "lat=\"1\" lon=\"2\"\n"
	if _, err := Read("f", []byte(strings.Repeat(line, MaxPoints+1))); err == nil || !strings.Contains(err.Error(), "f: line 1000001: points: too many: must be at most 1000000") {
		t.Errorf("too many points: %v", err)
	}
	dir := t.TempDir()
	big := servertest.Must(os.Create(filepath.Join(dir, "big")))
	defer big.Close()
	if err := big.Truncate(MaxFileBytes + 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadDir(os.DirFS(dir)); err == nil || err.Error() != "big: 33554433 bytes: must be at most 33554432" {
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
		{"nothing there", fstest.MapFS{"README.md": file("")}, `no tracks: must have files NAME.gpx, or files without an extension with one lat="…" lon="…" a line`},
		{"one vehicle twice", fstest.MapFS{"a_b": file(twoLines), "a-b": file(twoLines)}, `a_b: name: "A B": must differ from that in a-b`},
		{"all broken files", fstest.MapFS{"a": file("?"), "b": file(twoLines), "c.gpx": file("<kml/>")}, "a: line 1: \"?\": must be lat=\"…\" lon=\"…\"\nc.gpx: line 1: root: <kml>: must be one <gpx>"},
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

// The recorded tracks have the properties that their README lists.
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
		data := servertest.Must(os.ReadFile(filepath.Join(dir, tr.File)))
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

// The coordinates of a track are one string: as thousands of small ones, each would keep a page of the heap.
func TestCompact(t *testing.T) {
	got, err := Read("x", []byte("lat=\"1.5\" lon=\"-2\"\nlat=\"3\" lon=\"4.25\"\n"))
	if want := []Point{{"1.5", "-2"}, {"3", "4.25"}}; err != nil || !slices.Equal(got.Points, want) {
		t.Fatalf("got %v, %v, want %v", got.Points, err, want)
	}
	first := unsafe.StringData(string(got.Points[0].Lat))
	if all := unsafe.String(first, len("1.5-234.25")); all != "1.5-234.25" || unsafe.StringData(string(got.Points[1].Lng)) != unsafe.StringData(all[6:]) {
		t.Errorf("the coordinates are not one string: %q", all)
	}
}
