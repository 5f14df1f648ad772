package track

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"fleetman.example/kit/fleet"
)

// maxDepth is far over the deepest element of GPX and its extensions, and
// keeps a file of nothing but opening tags from filling the memory.
const maxDepth = 64

// The elements that matter; everything else in a GPX file is passed over.
var (
	pathName  = []string{"gpx", "trk", "name"}
	pathPoint = []string{"gpx", "trk", "trkseg", "trkpt"}
	pathTime  = []string{"gpx", "trk", "trkseg", "trkpt", "time"}
)

// gpxReader walks the file's elements. Segments of the track are joined.
type gpxReader struct {
	d     *xml.Decoder
	stack []string // local names of the open elements
	text  strings.Builder
	root  bool
	trk   bool
	timed bool // the point at hand has a time
	times []time.Time
	t     Track
}

func readGPX(data []byte) (Track, error) {
	r := gpxReader{d: xml.NewDecoder(bytes.NewReader(data))}
	r.t.Points = make([]Point, 0, min(bytes.Count(data, []byte("<trkpt")), MaxPoints))
	r.d.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("expected UTF-8, found the encoding %s", quote(charset))
	}
	if err := r.read(); err != nil {
		line, _ := r.d.InputPos()
		if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
			line, err = syntax.Line, fmt.Errorf("expected well-formed XML: %s", syntax.Msg)
		}
		return Track{}, fmt.Errorf("line %d: %w", line, err)
	}
	return r.t, nil
}

func (r *gpxReader) read() error {
	for {
		token, err := r.d.RawToken() // a quarter faster than Token, which matches the tags; see close
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
			r.text.Write(e)
		}
		if err != nil {
			return err
		}
	}
}

func (r *gpxReader) at(path []string) bool { return slices.Equal(r.stack, path) }

func (r *gpxReader) open(e xml.StartElement) error {
	r.text.Reset()
	r.stack = append(r.stack, e.Name.Local)
	switch {
	case len(r.stack) > maxDepth:
		return fmt.Errorf("expected elements at most %d deep", maxDepth)
	case len(r.stack) == 1:
		if e.Name.Local != "gpx" || r.root {
			return fmt.Errorf("expected one <gpx> element, found <%s>", e.Name.Local)
		}
		r.root = true
	case len(r.stack) == 2 && e.Name.Local == "trk":
		if r.trk {
			return errors.New("expected one <trk> a file, found a second one")
		}
		r.trk = true
	case r.at(pathPoint):
		return r.point(e.Attr)
	}
	return nil
}

func (r *gpxReader) point(attrs []xml.Attr) error {
	if len(r.t.Points) == MaxPoints {
		return fmt.Errorf("expected at most %d points", MaxPoints)
	}
	var lat, lng string
	for _, a := range attrs {
		switch a.Name.Local {
		case "lat":
			lat = a.Value
		case "lon":
			lng = a.Value
		}
	}
	p, err := newPoint(lat, lng)
	if err != nil {
		return fmt.Errorf("<trkpt> %w", err)
	}
	r.t.Points = append(r.t.Points, p)
	r.timed = false
	return nil
}

func (r *gpxReader) close(e xml.EndElement) error {
	if n := len(r.stack); n == 0 || r.stack[n-1] != e.Name.Local {
		return fmt.Errorf("expected well-formed XML: </%s> closes no element", e.Name.Local)
	}
	var err error
	switch {
	case r.at(pathName):
		if r.t.Name = strings.Join(strings.Fields(r.text.String()), " "); r.t.Name != "" {
			err = fleet.CheckName(r.t.Name)
		}
	case r.at(pathTime):
		err = r.time(strings.TrimSpace(r.text.String()))
	case r.at(pathPoint):
		if len(r.times) > 0 && !r.timed {
			err = errors.New("<trkpt> has no <time>: expected one at every point or at none")
		}
	}
	r.stack = r.stack[:len(r.stack)-1]
	return err
}

func (r *gpxReader) time(text string) error {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil { // xsd:dateTime may leave the zone out; GPX says UTC
		at, err = time.Parse("2006-01-02T15:04:05", text)
	}
	switch n := len(r.times); {
	case err != nil:
		return fmt.Errorf("<time>: expected a time like 2026-11-22T08:05:36Z, found %s", quote(text))
	case r.timed:
		return errors.New("<trkpt>: expected one <time>, found a second one")
	case n != len(r.t.Points)-1:
		return errors.New("<time>: expected one at every point or at none, but earlier points have none")
	case n > 0 && at.Before(r.times[n-1]):
		return fmt.Errorf("<time>: expected no time before the former point's, found %s", quote(text))
	case n > 0 && at.Sub(r.times[0]) > MaxDuration:
		return fmt.Errorf("<time>: expected a journey of at most %v, found %s", MaxDuration, quote(text))
	}
	r.times = append(r.times, at)
	r.timed = true
	return nil
}

func (r *gpxReader) finish() error {
	if !r.root {
		return errors.New("expected a <gpx> element, found none")
	}
	if n := len(r.stack); n > 0 {
		return fmt.Errorf("expected well-formed XML: <%s> is not closed", r.stack[n-1])
	}
	if len(r.times) == 0 {
		return nil
	}
	if n := len(r.times); n > 1 && r.times[n-1].Equal(r.times[0]) {
		return errors.New("<time>: expected times that go on, but all points have the same")
	}
	for _, at := range r.times {
		r.t.At = append(r.t.At, at.Sub(r.times[0]))
	}
	return nil
}
