package experiment

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

func (c *checker) fillLoad(l *Load) {
	if l.Rate == 0 && !c.Has("load.rate") && len(l.Steps) == 0 && l.Ramp == nil {
		l.Rate = 10
	}
	c.notEmpty("load.streams", len(l.Streams))
	if len(l.Streams) == 0 {
		switch l.Target {
		case TargetGateway, TargetIngress:
			l.Streams = []Stream{{Name: "driver", Path: "/vehicles/driver/{vehicle}"}}
		case TargetPage:
			l.Streams = []Stream{{Name: "positions", Path: "/api/vehicles/"}, {Name: "driver", Path: "/api/vehicles/driver/{vehicle}"}}
		}
	}
	for i := range l.Streams {
		s := &l.Streams[i]
		if s.Method == "" {
			s.Method = "GET"
		}
		if s.Share == 0 && !c.Has(fmt.Sprintf("load.streams[%d].share", i)) {
			s.Share = 1
		}
		if s.Name == "" && len(l.Streams) == 1 {
			s.Name = "all"
		}
	}
}

func (c *checker) load() {
	l := c.Load
	c.rates()
	c.must(l.Timeout > 0 && l.Timeout <= maxPhase, "load.timeout", "%v: must be more than 0s, and at most 1h", l.Timeout)
	c.must(l.MaxInFlight >= 1 && l.MaxInFlight <= 100_000, "load.maxInFlight", "%d: must be between 1 and 100000", l.MaxInFlight)
	c.must(l.Jobs >= 1 && l.Jobs <= maxJobs || l.Jobs == 0 && !c.Has("load.jobs"), "load.jobs", "%d: must be between 1 and %d", l.Jobs, maxJobs)
	c.must(l.Jobs < 2 || l.From == "", "load.jobs", "%d: must be 1 with load.from, a pod of which sends the load", l.Jobs)
	c.must(l.Target != "" && (len(l.Streams) > 0 || c.Has("load.streams")), "load.target", "%.60q: must be %s, %s, %s, or, with load.streams, another Service", l.Target, TargetGateway, TargetIngress, TargetPage)
	c.names("load.streams", collect(l.Streams, func(s Stream) string { return s.Name }))
	for i, s := range l.Streams {
		c.stream(fmt.Sprintf("load.streams[%d]", i), s)
	}
	c.vehicles()
}

// rates checks that there is a rate, or steps, or a ramp, and each rate of them.
func (c *checker) rates() {
	l := c.Load
	ways := 0
	for _, set := range []bool{l.Rate != 0 || c.Has("load.rate"), len(l.Steps) > 0, l.Ramp != nil} {
		if set {
			ways++
		}
	}
	c.must(ways == 1, "load", "%d of rate, steps and ramp: must be one of them", ways)
	if l.Rate != 0 || c.Has("load.rate") {
		c.rate("load.rate", l.Rate)
	}
	c.steps()
	if l.Ramp != nil {
		c.rate("load.ramp.from", l.Ramp.From)
		c.rate("load.ramp.to", l.Ramp.To)
	}
}

func (c *checker) rate(path string, rate float64) {
	most := maxRate * min(max(1, c.Load.Jobs), maxJobs)
	got := fmt.Sprint(rate)
	if rate == 0 && !c.Has(path) {
		got = "missing"
	}
	c.must(rate >= minRate && rate <= float64(most), path, "%s: must be between %v and %d requests per second", got, minRate, most)
}

// steps checks the steps, each of which must begin before the load's end.
func (c *checker) steps() {
	steps := c.Load.Steps
	c.notEmpty("load.steps", len(steps))
	lasts, begins := c.Phases.Healthy+c.Phases.Fault+c.Phases.After, Duration(0)
	for i, step := range steps {
		path := fmt.Sprintf("load.steps[%d]", i)
		c.rate(path+".rate", step.Rate)
		if i == len(steps)-1 {
			c.must(step.For == 0 && !c.Has(path+".for"), path+".for", "%v: must be absent in the last step, which lasts as long as the load", step.For)
		} else {
			c.must(step.For > 0 && step.For <= maxPhase, path+".for", "%v: must be more than 0s, and at most 1h", step.For)
		}
		c.must(begins < lasts, path, "begins after %v: must be before the end of the phases, %v", begins, lasts)
		begins += step.For
	}
}

func (c *checker) vehicles() {
	l := c.Load
	c.notEmpty("load.vehicles", len(l.Vehicles))
	for i, vehicle := range l.Vehicles {
		c.must(vehicle != "", fmt.Sprintf("load.vehicles[%d]", i), "empty: must be the name of a vehicle")
	}
}

// Vehicle is the part of a stream's path that a vehicle's name replaces.
const Vehicle = "{vehicle}"

var methodForm = regexp.MustCompile(`^[A-Z]+$`)

func (c *checker) stream(path string, s Stream) {
	replaced := strings.ReplaceAll(s.Path, Vehicle, "x")
	target, err := url.ParseRequestURI(replaced)
	c.must(err == nil && strings.HasPrefix(s.Path, "/") && !strings.ContainsAny(replaced, " #{}") && target.Host == "", path+".path", "%.80q: must be an escaped path such as /vehicles/driver/{vehicle}, the only part that is replaced", s.Path)
	c.must(methodForm.MatchString(s.Method), path+".method", "%.20q: must be a method such as GET", s.Method)
	c.must(s.Share >= 1 && s.Share <= 1000, path+".share", "%d: must be between 1 and 1000", s.Share)
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		value, canonical := s.Headers[name], http.CanonicalHeaderKey(name)
		c.must(httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value), path+".headers."+name, "%.60q: must be a header", value)
		c.must(!slices.Contains(ownHeaders, canonical), path+".headers."+name, "%.60q: must be another header than %s, which the load sets", value, strings.Join(ownHeaders, ", "))
		c.must(!seen[canonical], path+".headers."+name, "%.60q: must be there once, in upper or lower case", value)
		seen[canonical] = true
	}
}

// ownHeaders are those that the load sets itself: net/http's, and the name of a request.
var ownHeaders = []string{"Content-Length", "Trailer", "Transfer-Encoding", "X-Fleetman-Check"}
