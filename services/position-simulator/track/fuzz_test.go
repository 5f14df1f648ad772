package track

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"fleetman.example/kit/fleet"
)

// FuzzRead checks that Read returns an error or a track that can be reported.
func FuzzRead(f *testing.F) {
	f.Add(false, []byte(twoLines))
	f.Add(true, []byte(timedGPX))
	f.Add(true, []byte(gpxOf(`<trkpt lat="1" lon="2"/><trkpt lat=" +01." lon="-.0"/>`)))
	f.Fuzz(func(t *testing.T, gpx bool, data []byte) {
		file := "f"
		if gpx {
			file = "f.gpx"
		}
		got, err := Read(file, data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), file) {
				t.Fatalf("error without the file's name: %v", err)
			}
			return
		}
		if len(got.Points) < 2 || fleet.CheckName(got.Name) != nil {
			t.Fatalf("accepted %q with %d points", got.Name, len(got.Points))
		}
		for _, p := range got.Points {
			checkPoint(t, string(data), p.Lat, 90)
			checkPoint(t, string(data), p.Lng, 180)
		}
		if got.At != nil && len(got.At) != len(got.Points) {
			t.Fatalf("%d times for %d points", len(got.At), len(got.Points))
		}
		for i := 1; i < len(got.At); i++ {
			if got.At[i] < got.At[i-1] || got.At[i] > MaxDuration {
				t.Fatalf("times %v", got.At)
			}
		}
	})
}

func checkPoint(t *testing.T, data string, d fleet.Decimal, limit float64) {
	t.Helper()
	text := string(d)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.Abs(v) > limit {
		t.Fatalf("accepted the coordinate %q", text)
	}
	// The only differences from the file are a digit added before a decimal point, and decoded character references
	// such as &#49;.
	digits := strings.TrimPrefix(strings.TrimPrefix(text, "-"), "0")
	if !strings.Contains(data, digits) && !strings.Contains(data, "&#") {
		t.Fatalf("the coordinate %q is not in the file", text)
	}
}
