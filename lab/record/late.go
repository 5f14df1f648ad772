package record

import (
	"fmt"
	"slices"
	"time"
)

// A load is on time when 99 of 100 of its requests start at most UsualLateness
// after their intended starts, and none more than MaxLateness. Else the figures
// say something of the generator, or of the machine, and not of the service.
// Delayed requests do not count: they wait for answers of the service.
const (
	UsualLateness = 10 * time.Millisecond
	MaxLateness   = 250 * time.Millisecond
)

// Lateness is how late a run's load was.
type Lateness struct {
	P99, Max time.Duration
}

// Lateness computes the lateness of the requests that were not delayed.
func (r *Run) Lateness() Lateness {
	var all []time.Duration
	for _, request := range r.Requests {
		if !request.Delayed {
			all = append(all, request.Lateness())
		}
	}
	if len(all) == 0 {
		return Lateness{}
	}
	slices.Sort(all)
	return Lateness{P99: all[(len(all)*99+99)/100-1], Max: all[len(all)-1]}
}

// TooLate reports whether the load was not on time.
func (l Lateness) TooLate() bool { return l.P99 > UsualLateness || l.Max > MaxLateness }

func (l Lateness) String() string {
	return fmt.Sprintf("p99 %v, at most %v", l.P99.Round(100*time.Microsecond), l.Max.Round(100*time.Microsecond))
}
