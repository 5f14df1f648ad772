package track

import (
	"fmt"
	"strconv"

	"fleetman.example/kit/fleet"
)

func newPoint(lat, lng string) (Point, error) {
	p := Point{}
	var err error
	if p.Lat, err = degrees("lat", lat, 90); err != nil {
		return Point{}, err
	}
	if p.Lng, err = degrees("lon", lng, 180); err != nil {
		return Point{}, err
	}
	return p, nil
}

// degrees holds a coordinate to what the services accept on the wire.
func degrees(field, text string, limit int64) (fleet.Decimal, error) {
	d, err := fleet.ParseDecimal([]byte(text))
	if err != nil || d == "" || !d.Within(limit) {
		return "", fmt.Errorf("%s: expected a decimal number from -%d to %d, found %s", field, limit, limit, quote(text))
	}
	return d, nil
}

// quote shows what was found without repeating a whole broken file.
func quote(text string) string {
	const most = 60
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}
