package trace

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	require.Len(t, all, maxTraces)
	assert.Equal(t, "1999", all[0].ID)
	assert.Equal(t, "degraded", all[maxTraces-1].ID)
	assert.Len(t, s.Recent(Filter{Status: Failed}), 100)
	fast := slices.DeleteFunc(all, func(s Summary) bool { return time.Duration(s.Duration) >= slow })
	assert.Len(t, fast, maxTraces-100)
	// Notable traces do not evict all ordinary ones.
	for i := range 3000 {
		s.add(fmt.Sprint("failed", i), []Span{step("1", "", time.Hour, 1, Failed)})
	}
	assert.GreaterOrEqual(t, len(s.Recent(Filter{Status: OK})), maxTraces/4, "ordinary traces that are left")
	assert.Len(t, s.Recent(Filter{}), maxTraces)
	assert.Equal(t, len(s.traces), s.order.Len())
}

// TestLateSpans checks that spans of an evicted trace do not come back as a trace of their own, and that a
// repeated span is kept once.
func TestLateSpans(t *testing.T) {
	s := NewStore()
	s.add("first", []Span{step("1", "", 0, 1, OK)})
	for range 2 {
		s.add("first", []Span{step("1", "", 0, 1, OK), step("2", "1", 0, 1, OK)})
	}
	got, _ := s.Trace("first")
	assert.Len(t, got.Spans, 2)
	assert.Equal(t, 2, got.Count)
	for i := range maxTraces {
		s.add(fmt.Sprint(i), []Span{step("1", "", 0, 1, OK)})
	}
	s.add("first", []Span{step("3", "2", 0, 1, OK)})
	_, ok := s.Trace("first")
	assert.False(t, ok, "the late span is a trace")
	for i := range maxTraces {
		s.add(fmt.Sprint("more", i), []Span{step("1", "", 0, 1, OK)})
	}
	assert.Equal(t, maxTraces, s.evicted.Len(), "evicted traces that it remembers")
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
	assert.LessOrEqual(t, s.bytes, maxBytes)
	assert.GreaterOrEqual(t, len(s.traces), 5)
	assert.LessOrEqual(t, len(s.traces), 50)
	for i := range maxSpans + 10 {
		s.add("long", []Span{step(fmt.Sprint(i), "", 0, 1, OK)})
	}
	got, _ := s.Trace("long")
	assert.Len(t, got.Spans, maxSpans)
	assert.Equal(t, 10, got.Dropped)
	sum := 0
	for _, k := range s.traces {
		sum += k.bytes
	}
	assert.Equal(t, sum, s.bytes)
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
		assert.Equal(t, tc.want, ids(s.Recent(tc.filter)), "%+v", tc.filter)
	}
	// The root is the first span whose parent has not arrived; the end is the last one's.
	got, _ := s.Trace("a")
	assert.Equal(t, Summary{ID: "a", Start: start, Duration: Seconds(4 * time.Second), Root: "s n", Status: Failed, Count: 2}, got.Summary)
	// A summary follows its trace.
	s.add("a", []Span{step("gone", "", -time.Second, time.Second, OK)})
	got, _ = s.Trace("a")
	assert.Equal(t, Summary{ID: "a", Start: start.Add(-time.Second), Duration: Seconds(5 * time.Second), Root: "s n", Status: OK, Count: 3}, got.Summary)
	s.add("circle", []Span{step("1", "2", 0, 1, OK), step("2", "1", 0, 1, OK)})
	got, _ = s.Trace("circle")
	assert.Equal(t, "s n", got.Root)
}
