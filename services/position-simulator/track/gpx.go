package track

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"fleetman.example/kit/fleet"
)

// maxDepth is the largest depth of an element, far above that of GPX and its extensions. It bounds the
// memory for a file that has only opening tags.
const maxDepth = 64

// The elements that are read. All others are ignored, as are elements of a foreign namespace with their
// contents.
var (
	pathName  = []string{"gpx", "trk", "name"}
	pathPoint = []string{"gpx", "trk", "trkseg", "trkpt"}
	pathTime  = []string{"gpx", "trk", "trkseg", "trkpt", "time"}
)

// gpxReader reads the elements of a file. It joins the segments of a track.
type gpxReader struct {
	d         *xml.Decoder
	stack     []string // local names of the open elements
	foreign   int      // depth of the outermost open element of a foreign namespace; 0: none
	prefix    string   // namespace prefix of the root, and so of GPX's elements
	routes    int      // number of <rte> elements
	waypoints int
	text      strings.Builder
	root      bool
	trk       bool
	timed     bool // the current point has a <time>
	times     []time.Time
	t         Track
}

func readGPX(data []byte) (Track, error) {
	r := gpxReader{d: xml.NewDecoder(bytes.NewReader(data))}
	r.t.Points = make([]Point, 0, min(bytes.Count(data, []byte("<trkpt")), MaxPoints))
	r.d.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("encoding: %s: must be UTF-8", quote(charset))
	}
	if err := r.read(); err != nil {
		line, _ := r.d.InputPos()
		if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
			line, err = syntax.Line, fmt.Errorf("%s: must be well-formed XML", syntax.Msg)
		}
		return Track{}, fmt.Errorf("line %d: %w", line, err)
	}
	return r.t, nil
}

func (r *gpxReader) read() error {
	for {
		token, err := r.d.RawToken() // a quarter faster than Token, which checks that tags match; close does here
		if errors.Is(err, io.EOF) {
			return r.finish()
		}
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.StartElement:
			err = r.open(e)
		case xml.EndElement:
			err = r.close(e)
		case xml.CharData:
			if r.foreign == 0 {
				r.text.Write(e)
			}
		}
		if err != nil {
			return err
		}
	}
}

func (r *gpxReader) at(path []string) bool { return slices.Equal(r.stack, path) }

func (r *gpxReader) open(e xml.StartElement) error {
	r.stack = append(r.stack, e.Name.Local)
	if len(r.stack) > maxDepth {
		return fmt.Errorf("<%s>: %d deep: must be at most %d", e.Name.Local, len(r.stack), maxDepth)
	}
	if len(r.stack) > 1 && r.foreign == 0 && (e.Name.Space != r.prefix || !isGPX(e)) {
		r.foreign = len(r.stack)
	}
	if r.foreign > 0 {
		return nil
	}
	r.text.Reset()
	switch {
	case len(r.stack) == 1:
		return r.openRoot(e)
	case len(r.stack) == 2:
		return r.openPart(e.Name.Local)
	case r.at(pathPoint):
		return r.point(e.Attr)
	}
	return nil
}

// openPart is called for an element of the root.
func (r *gpxReader) openPart(name string) error {
	switch name {
	case "rte":
		r.routes++
	case "wpt":
		r.waypoints++
	case "trk":
		if r.trk {
			return errors.New("<trk>: second one: must be one per file")
		}
		r.trk = true
	}
	return nil
}

func (r *gpxReader) openRoot(e xml.StartElement) error {
	if e.Name.Local != "gpx" || r.root {
		return fmt.Errorf("root: <%s>: must be one <gpx>", e.Name.Local)
	}
	if !isGPX(e) {
		return fmt.Errorf("<gpx>: foreign namespace: must be %s1/1 or %s1/0", namespace, namespace)
	}
	r.root, r.prefix = true, e.Name.Space
	return nil
}

func (r *gpxReader) point(attrs []xml.Attr) error {
	if len(r.t.Points) == MaxPoints {
		return fmt.Errorf("points: too many: must be at most %d", MaxPoints)
	}
	var lat, lng string
	for _, a := range attrs {
		switch a.Name { // GPX's attributes have no namespace
		case xml.Name{Local: "lat"}:
			lat = a.Value
		case xml.Name{Local: "lon"}:
			lng = a.Value
		}
	}
	p, err := newPoint(lat, lng, fromXSD)
	if err != nil {
		return fmt.Errorf("<trkpt>: %w", err)
	}
	r.t.Points = append(r.t.Points, p)
	r.timed = false
	return nil
}

func (r *gpxReader) close(e xml.EndElement) error {
	if n := len(r.stack); n == 0 || r.stack[n-1] != e.Name.Local {
		return fmt.Errorf("</%s>: closes no element: must be well-formed XML", e.Name.Local)
	}
	depth := len(r.stack)
	if r.foreign > 0 {
		if depth == r.foreign {
			r.foreign = 0
		}
		r.stack = r.stack[:depth-1]
		return nil
	}
	var err error
	switch {
	case r.at(pathName):
		if r.t.Name = strings.Join(strings.Fields(r.text.String()), " "); r.t.Name != "" {
			if err = fleet.CheckName(r.t.Name); err != nil {
				err = fmt.Errorf("<trk>: %w", err)
			}
		}
	case r.at(pathTime):
		err = r.time(strings.TrimSpace(r.text.String()))
	case r.at(pathPoint):
		if len(r.times) > 0 && !r.timed {
			err = errors.New("<time>: missing: must be at every point or at none")
		}
	}
	r.stack = r.stack[:len(r.stack)-1]
	return err
}

func (r *gpxReader) time(text string) error {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil { // the zone of an xsd:dateTime is optional; in GPX the default is UTC
		at, err = time.Parse("2006-01-02T15:04:05", text)
	}
	switch n := len(r.times); {
	case err != nil:
		return fmt.Errorf("<time>: %s: must be a time such as 2026-11-22T08:05:36Z", quote(text))
	case r.timed:
		return errors.New("<time>: second one: must be one per point")
	case n != len(r.t.Points)-1:
		return errors.New("<time>: missing at earlier points: must be at every point or at none")
	case n > 0 && at.Before(r.times[n-1]):
		return fmt.Errorf("<time>: %s: must not be before that of the previous point", quote(text))
	case n > 0 && at.Sub(r.times[0]) > MaxDuration:
		return fmt.Errorf("<time>: %s: must be at most %v after the first", quote(text), MaxDuration)
	}
	r.times = append(r.times, at)
	r.timed = true
	return nil
}

func (r *gpxReader) finish() error {
	if !r.root {
		return errors.New("root: missing: must be one <gpx>")
	}
	if n := len(r.stack); n > 0 {
		return fmt.Errorf("<%s>: not closed: must be well-formed XML", r.stack[n-1])
	}
	if len(r.t.Points) == 0 {
		found := "no <trk>"
		switch {
		case r.trk:
			found = "a <trk> without <trkpt>"
		case r.routes > 0:
			found = fmt.Sprintf("no <trk> but %d <rte>, which are plans without the road between their points", r.routes)
		case r.waypoints > 0:
			found = fmt.Sprintf("no <trk> but %d <wpt>, which are places", r.waypoints)
		}
		return fmt.Errorf("<gpx>: %s: must have a <trk> with points", found)
	}
	if len(r.times) == 0 {
		return nil
	}
	if n := len(r.times); n > 1 && r.times[n-1].Equal(r.times[0]) {
		return errors.New("<time>: equal at all points: must increase")
	}
	for _, at := range r.times {
		r.t.At = append(r.t.At, at.Sub(r.times[0]))
	}
	return nil
}

// namespace is the common prefix of the namespaces of GPX's versions.
const namespace = "http://www.topografix.com/GPX/"

// isGPX reports whether an element does not declare a foreign namespace for its own prefix. A file without
// a declaration is GPX, as for most readers.
func isGPX(e xml.StartElement) bool {
	for _, a := range e.Attr {
		declares := e.Name.Space == "" && a.Name == xml.Name{Local: "xmlns"} || e.Name.Space != "" && a.Name == xml.Name{Space: "xmlns", Local: e.Name.Space}
		if declares && !strings.HasPrefix(a.Value, namespace) {
			return false
		}
	}
	return true
}

// xsdDecimal is the syntax of GPX's degrees: no exponent, but a sign, leading zeros and surrounding white
// space.
var xsdDecimal = regexp.MustCompile(`^[ \t\r\n]*(?:\+|(-))?0*([0-9]*)(?:\.([0-9]*))?[ \t\r\n]*$`)

// fromXSD returns an xsd:decimal as a JSON number with all its digits, and "" for any other text.
func fromXSD(text string) string {
	m := xsdDecimal.FindStringSubmatch(text)
	if m == nil || !strings.ContainsAny(text, "0123456789") {
		return ""
	}
	number := m[1] + m[2]
	if m[2] == "" {
		number += "0"
	}
	if m[3] != "" {
		number += "." + m[3]
	}
	return number
}
