package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/scenario"
)

// returns judges the share of a replica after it was away.
func (o *observation) returns(r *scenario.Returns) Finding {
	replica := like(&r.Replica)
	finding := Finding{Expected: describeReturns(r)}
	records := slices.SortedStableFunc(slices.Values(o.records), func(a, b Record) int { return cmp.Compare(a.Start, b.Start) })
	back, away := o.back(records, replica)
	finding.Saw = fmt.Sprintf("away for at most %s; %s", seconds(away), o.others(&r.Replica))
	if away < r.Away.Duration {
		return finding
	}
	finding.Saw = fmt.Sprintf("away for %s", seconds(away))
	finding.Holds = true
	for _, w := range r.Shares {
		in := startedIn(records, back+w.From.Duration, back+w.To.Duration)
		seen := count(in, replica)
		low, high := w.Count.Range(len(in))
		finding.Holds = finding.Holds && len(in) > 0 && low <= seen && seen <= high
		finding.Saw += fmt.Sprintf("; %d of %d requests from %v to %v", seen, len(in), w.From, w.To)
		if ended := records[len(records)-1].Start; ended < back+w.To.Duration {
			finding.Holds = false
			finding.Saw += fmt.Sprintf(", which ended after %s", seconds(ended-back))
		}
	}
	finding.Saw += "; in each second " + perSecond(records, back, replica)
	return finding
}

// back returns when the replica's first response after its longest absence since the last action was
// requested, and how long that absence was.
func (o *observation) back(records []Record, replica func(Record) bool) (back, away time.Duration) {
	last := o.lastAction
	for _, record := range records {
		if record.Start < o.lastAction || !replica(record) {
			continue
		}
		if record.Start-last > away {
			back, away = record.Start, record.Start-last
		}
		last = record.Start
	}
	return back, away
}

func startedIn(records []Record, from, to time.Duration) (in []Record) {
	for _, record := range records {
		if from <= record.Start && record.Start < to {
			in = append(in, record)
		}
	}
	return in
}

// perSecond returns the replica's responses of all in each whole second from a time on, such as 2/20 3/20.
func perSecond(records []Record, from time.Duration, replica func(Record) bool) string {
	var all []string
	for ended := records[len(records)-1].Start; from+time.Second <= ended; from += time.Second {
		in := startedIn(records, from, from+time.Second)
		all = append(all, fmt.Sprintf("%d/%d", count(in, replica), len(in)))
	}
	return strings.Join(all, " ")
}

func describeReturns(r *scenario.Returns) string {
	text := fmt.Sprintf("after %v or more without %s, of the responses", r.Away, describe(&r.Replica))
	for i, w := range r.Shares {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(" from %v to %v %s", w.From, w.To, shareOf(&w.Count))
	}
	return text
}
