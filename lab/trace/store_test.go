package trace

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Unix(0, base).UTC()

// step returns a span of a service that starts after some time and takes some.
func step(id, parent string, after, takes time.Duration, status Status) Span {
	return Span{ID: id, Parent: parent, Service: "s", Kind: "server", Name: "n", Start: start.Add(after), Duration: Seconds(takes), Status: status}
}

func ids(list []Summary) (ids []string) {
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestEviction(t *testing.T) {
	s := NewStore()
	// 2 000 good traces, of which each tenth is failed or slow, and the first degraded
	degraded := step("1", "", 0, 1, OK)
	degraded.Attributes = map[string]any{keyFallback: "placeholder"}
	s.add("degraded", []Span{degraded})
	for i := range 2000 {
		takes, status := time.Millisecond, OK
		switch i % 20 {
		case 5:
			status = Failed
		case 15:
			takes = slow
		}
		s.add(fmt.Sprint(i), []Span{step("1", "", time.Duration(i)*time.Second, takes, status)})
	}
	all := s.Recent(Filter{})
	if len(all) != maxTraces || all[0].ID != "1999" || all[maxTraces-1].ID != "degraded" {
		t.Errorf("kept %d, from %s to %s", len(all), all[0].ID, all[len(all)-1].ID)
	}
	if n := len(s.Recent(Filter{Status: Failed})); n != 100 {
		t.Errorf("kept %d failed traces, want 100", n)
	}
	if fast := slices.DeleteFunc(all, func(s Summary) bool { return time.Duration(s.Duration) >= slow }); maxTraces-len(fast) != 100 {
		t.Errorf("kept %d slow traces, want 100", maxTraces-len(fast))
	}
	// Notable traces do not evict all ordinary ones.
	for i := range 3000 {
		s.add(fmt.Sprint("failed", i), []Span{step("1", "", time.Hour, 1, Failed)})
	}
	if n := len(s.Recent(Filter{Status: OK})); n < maxTraces/4 {
		t.Errorf("%d ordinary traces are left, want %d", n, maxTraces/4)
	}
	if n := len(s.Recent(Filter{})); n != maxTraces || len(s.traces) != s.order.Len() {
		t.Errorf("kept %d traces, %d in order", n, s.order.Len())
	}
}

// TestLateSpans checks that spans of an evicted trace do not come back as a trace of their own, and that a
// repeated span is kept once.
func TestLateSpans(t *testing.T) {
	s := NewStore()
	s.add("first", []Span{step("1", "", 0, 1, OK)})
	for range 2 {
		s.add("first", []Span{step("1", "", 0, 1, OK), step("2", "1", 0, 1, OK)})
	}
	if got, _ := s.Trace("first"); len(got.Spans) != 2 || got.Count != 2 {
		t.Errorf("kept %d spans of 2", len(got.Spans))
	}
	for i := range maxTraces {
		s.add(fmt.Sprint(i), []Span{step("1", "", 0, 1, OK)})
	}
	s.add("first", []Span{step("3", "2", 0, 1, OK)})
	if _, ok := s.Trace("first"); ok {
		t.Error("the late span is a trace")
	}
	for i := range maxTraces {
		s.add(fmt.Sprint("more", i), []Span{step("1", "", 0, 1, OK)})
	}
	if n := s.evicted.Len(); n != maxTraces {
		t.Errorf("remembers %d evicted traces, want %d", n, maxTraces)
	}
}

// TestMemory checks the limits of bytes and of spans in one trace.
func TestMemory(t *testing.T) {
	s := NewStore()
	big := func(id string) Span {
		span := step(id, "", 0, 1, OK)
		span.Attributes = map[string]any{}
		for i := range maxAttributes {
			span.Attributes[fmt.Sprint(i)] = strings.Repeat("x", maxText)
		}
		return span
	}
	for i := range 100 {
		var spans []Span
		for j := range 50 {
			spans = append(spans, big(fmt.Sprint(j)))
		}
		s.add(fmt.Sprint(i), spans)
	}
	if n := len(s.traces); s.bytes > maxBytes || n < 5 || n > 50 {
		t.Errorf("%d traces of %d bytes", n, s.bytes)
	}
	for i := range maxSpans + 10 {
		s.add("long", []Span{step(fmt.Sprint(i), "", 0, 1, OK)})
	}
	if got, _ := s.Trace("long"); len(got.Spans) != maxSpans || got.Dropped != 10 {
		t.Errorf("kept %d spans, dropped %d", len(got.Spans), got.Dropped)
	}
	sum := 0
	for _, k := range s.traces {
		sum += k.bytes
	}
	if sum != s.bytes {
		t.Errorf("counts %d bytes, kept %d", s.bytes, sum)
	}
}

func TestRecent(t *testing.T) {
	s := NewStore()
	s.add("a", []Span{step("2", "1", time.Second, 3*time.Second, OK), step("1", "gone", 0, time.Second, Failed)})
	s.add("b", []Span{step("1", "", time.Minute, time.Second, OK)})
	for _, tc := range []struct {
		filter Filter
		want   []string
	}{
		{Filter{}, []string{"b", "a"}},
		{Filter{Limit: 1}, []string{"b"}},
		{Filter{Status: Failed}, []string{"a"}},
		{Filter{Status: Degraded}, nil},
		{Filter{Notable: true}, []string{"b", "a"}},
	} {
		if got := ids(s.Recent(tc.filter)); !slices.Equal(got, tc.want) {
			t.Errorf("%+v: got %v, want %v", tc.filter, got, tc.want)
		}
	}
	// The root is the first span whose parent has not arrived; the end is the last one's.
	if got, _ := s.Trace("a"); got.Status != Failed || time.Duration(got.Duration) != 4*time.Second || !got.Start.Equal(start) || got.Count != 2 {
		t.Errorf("got %+v", got)
	}
	// A summary follows its trace.
	s.add("a", []Span{step("gone", "", -time.Second, time.Second, OK)})
	if got, _ := s.Trace("a"); got.Status != OK || time.Duration(got.Duration) != 5*time.Second {
		t.Errorf("got %+v", got)
	}
	s.add("circle", []Span{step("1", "2", 0, 1, OK), step("2", "1", 0, 1, OK)})
	if got, ok := s.Trace("circle"); !ok || got.Root != "s n" {
		t.Errorf("got %+v", got)
	}
}
