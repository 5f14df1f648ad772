package track

import (
	"fmt"
	"strconv"

	"fleetman.example/kit/fleet"
)

// newPoint parses a point. number converts a text to a JSON number, or returns "" if it is not a number.
func newPoint(lat, lng string, number func(string) string) (Point, error) {
	p := Point{}
	var err error
	if p.Lat, err = degrees("lat", lat, number(lat), 90); err != nil {
		return Point{}, err
	}
	if p.Lng, err = degrees("lon", lng, number(lng), 180); err != nil {
		return Point{}, err
	}
	return p, nil
}

// degrees checks that a coordinate is in range and short enough for the services.
func degrees(field, text, number string, limit int64) (fleet.Decimal, error) {
	d, err := fleet.ParseDecimal([]byte(number))
	if err != nil || d == "" || !d.Within(limit) {
		return "", fmt.Errorf("%s: %s: must be a decimal number from -%d to %d", field, quote(text), limit, limit)
	}
	return d, nil
}

// quote quotes at most the first 60 bytes of text, for an error.
func quote(text string) string {
	const most = 60
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}
