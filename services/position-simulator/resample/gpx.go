package main

import (
	"fmt"
	"strings"
)

// gpxHead is the beginning of a file. Degrees have seven decimals (about 1 cm), so that a point takes some
// 40 bytes.
const gpxHead = `<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="fleetman resample" xmlns="http://www.topografix.com/GPX/1/1">
<metadata>
<name>%[1]s</name>
<desc>The track %[2]s of DickChesterwood/istio-fleetman, resampled to one point every %[3]g m</desc>
<author><name>Richard Chesterwood</name></author>
<copyright author="Richard Chesterwood"><year>2019</year><license>https://opensource.org/license/mit</license></copyright>
<link href="https://github.com/DickChesterwood/istio-fleetman"/>
</metadata>
<trk><name>%[1]s</name><trkseg>
`

func gpx(name string, r route, points []spot) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, gpxHead, name, r.file, r.step)
	for _, p := range points {
		fmt.Fprintf(&b, "<trkpt lat=\"%.7f\" lon=\"%.7f\"/>\n", p.lat, p.lng)
	}
	b.WriteString("</trkseg></trk>\n</gpx>\n")
	return []byte(b.String())
}
