package main

import (
	"math"

	"fleetman.example/services/position-simulator/track"
)

// spot is a place in degrees.
type spot struct{ lat, lng float64 }

func spots(points []track.Point) []spot {
	s := make([]spot, len(points))
	for i, p := range points {
		s[i] = spot{p.Lat.Float(), p.Lng.Float()}
	}
	return s
}

// plane approximates WGS84 around a spot by a plane with coordinates in metres. Over some tens of metres,
// as here, the error is below a millimetre.
type plane struct {
	at         spot
	mLat, mLng float64 // metres per degree
}

func planeAt(at spot) plane {
	const a, e2 = 6378137, 0.00669437999014 // WGS84: semi-major axis in metres, eccentricity squared
	sin, cos := math.Sincos(at.lat * math.Pi / 180)
	w := 1 - e2*sin*sin
	return plane{
		at:   at,
		mLat: math.Pi / 180 * a * (1 - e2) / (w * math.Sqrt(w)),
		mLng: math.Pi / 180 * a * cos / math.Sqrt(w),
	}
}

func (p plane) xy(s spot) (x, y float64) {
	return (s.lng - p.at.lng) * p.mLng, (s.lat - p.at.lat) * p.mLat
}

func metres(a, b spot) float64 { return math.Hypot(planeAt(a).xy(b)) }

func length(s []spot) float64 {
	sum := 0.0
	for i := 1; i < len(s); i++ {
		sum += metres(s[i-1], s[i])
	}
	return sum
}

func longest(s []spot) float64 {
	most := 0.0
	for i := 1; i < len(s); i++ {
		most = max(most, metres(s[i-1], s[i]))
	}
	return most
}

func repeated(s []spot) int {
	n := 0
	for i := 1; i < len(s); i++ {
		if s[i] == s[i-1] {
			n++
		}
	}
	return n
}
