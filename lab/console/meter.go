package console

import (
	"maps"
	"math"
	"slices"
	"time"
)

const (
	// window is the time over which rates and quantiles are computed.
	window = 5 * time.Second
	// longWindow is that of a proxy's histograms, which Envoy updates every 5 s.
	longWindow = 2 * window
)

// what is what a total counts.
type what int

const (
	calls     what = iota // attempts of programs, by edge
	failed                // of them, with a 5xx or without a response
	retried               // of them, retries
	took                  // of them, by duration: see total.le
	wire                  // attempts of proxies, by edge
	wireFail              // responses of proxies to their callers with a 5xx
	wireTook              // of wire, by duration: see total.le
	rerouted              // retries of proxies
	handshake             // TLS handshakes of proxies
	connected             // connections of proxies
	served                // requests that a pod has answered
	servedFail
	servedTook
	entered // requests of users, by node: see entries
	enteredFail
	refused  // responses of the proxies of entries to their callers with a 5xx, by node
	replaced // responses replaced by a fallback, by node
)

// total names a sum of counters: of an edge, or of a pod (without to).
type total struct {
	what     what
	from, to string
	le       float64 // of took, servedTook and wireTook
}

// source has the last values of a pod's or a proxy's counters.
type source struct {
	started time.Time
	values  map[any]float64
}

// meter adds up the counters of pods and proxies, across their restarts, from its first reading on.
type meter struct {
	began   time.Time
	sources map[string]*source
	totals  map[total]float64
	past    []past // within longWindow, oldest first, and the one before
	begin   int    // in past: the last one before the window
}

type past struct {
	at     time.Time
	totals map[total]float64
}

func newMeter() *meter {
	return &meter{sources: map[string]*source{}, totals: map[total]float64{}}
}

// open returns a function that adds a value of one of the source's counters to totals. What a source
// counted before the meter's first reading is left out.
func (m *meter) open(name string, started time.Time) func(counter any, value float64, to ...total) {
	s := m.sources[name]
	whole := s != nil || !m.began.IsZero() && started.After(m.began) // all that the source has counted is new
	if s == nil || !s.started.Equal(started) {
		s = &source{started, map[any]float64{}}
		m.sources[name] = s
	}
	return func(counter any, value float64, to ...total) {
		last, known := s.values[counter]
		s.values[counter] = value
		added := value - last
		switch {
		case !known && !whole:
			added = 0
		case added < 0: // restarted unnoticed
			added = value
		}
		for _, t := range to {
			m.totals[t] += added
		}
	}
}

// close ends a reading.
func (m *meter) close(at time.Time) {
	if m.began.IsZero() {
		m.began = at
	}
	m.past = append(m.past, past{at, maps.Clone(m.totals)})
	m.past = m.past[m.before(at.Add(-longWindow)):]
	m.begin = m.before(at.Add(-window))
}

// before returns the index of the last reading that is not after a time, else of the first one; at least one
// follows.
func (m *meter) before(at time.Time) (i int) {
	for i+2 < len(m.past) && !m.past[i+1].at.After(at) {
		i++
	}
	return i
}

// span returns the time that the window covers, in seconds.
func (m *meter) span() float64 {
	if len(m.past) < 2 {
		return 0
	}
	return m.past[len(m.past)-1].at.Sub(m.past[m.begin].at).Seconds()
}

// within returns how much was added to a total within the window.
func (m *meter) within(t total) float64 {
	begin := m.begin
	if t.what == wireTook {
		begin = 0
	}
	return m.totals[t] - m.past[begin].totals[t]
}

// last returns how much the last reading added to a total.
func (m *meter) last(t total) float64 {
	if len(m.past) < 2 {
		return 0
	}
	return m.totals[t] - m.past[len(m.past)-2].totals[t]
}

// rate returns how much was added to a total per second.
func (m *meter) rate(t total) float64 {
	if m.span() == 0 {
		return 0
	}
	return m.within(t) / m.span()
}

// bounds returns the bounds of the buckets of one kind of histograms, in order.
func (m *meter) bounds(of what) []float64 {
	found := map[float64]bool{}
	for t := range m.totals {
		if t.what == of {
			found[t.le] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// quantile returns a quantile of a histogram within the window, in seconds, by linear interpolation in a
// bucket, as Prometheus's histogram_quantile does; 0 when it is empty.
func (m *meter) quantile(q float64, of total, bounds []float64) float64 {
	if len(bounds) == 0 {
		return 0
	}
	below := func(le float64) float64 {
		of.le = le
		return m.within(of)
	}
	all := below(math.Inf(1))
	if all <= 0 {
		return 0
	}
	lower, count := 0.0, 0.0
	for _, le := range bounds {
		next := below(le)
		if next >= q*all {
			if math.IsInf(le, 1) || next == count {
				return lower
			}
			return lower + (le-lower)*(q*all-count)/(next-count)
		}
		lower, count = le, next
	}
	return lower
}
