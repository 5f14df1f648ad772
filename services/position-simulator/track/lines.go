package track

import (
	"fmt"
	"strings"
)

// readLines reads one lat="…" lon="…" per line. It ignores blank lines.
func readLines(data []byte) (Track, error) {
	var t Track
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		number++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(t.Points) == MaxPoints {
			return Track{}, fmt.Errorf("line %d: points: too many: must be at most %d", number, MaxPoints)
		}
		lat, lng, ok := splitLine(line)
		if !ok {
			return Track{}, fmt.Errorf(`line %d: %s: must be lat="…" lon="…"`, number, quote(line))
		}
		p, err := newPoint(lat, lng, asItIs)
		if err != nil {
			return Track{}, fmt.Errorf("line %d: %w", number, err)
		}
		t.Points = append(t.Points, p)
	}
	return t, nil
}

func splitLine(line string) (lat, lng string, ok bool) {
	rest, ok := strings.CutPrefix(line, `lat="`)
	if !ok {
		return "", "", false
	}
	lat, rest, ok = strings.Cut(rest, `" lon="`)
	if !ok {
		return "", "", false
	}
	lng, ok = strings.CutSuffix(rest, `"`)
	return lat, lng, ok
}

func asItIs(text string) string { return text }
