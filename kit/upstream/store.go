package upstream

import (
	"bytes"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// The store of one upstream, in bytes: a gateway with two of them stays at a quarter of its pod's
// 128 MiB.
const (
	maxRecent   = 4 << 20 // answers that were given once
	maxFrequent = 8 << 20 // answers that were given again
	maxKnown    = 4 << 20 // one answer: all positions of a fleet of 20,000
	maxKey      = 2 << 10 // path, query and headers of a call; longer ones are not kept
)

// store keeps the last good answer to each call, in a segmented LRU: a new call can only take the
// place of others that were answered once. A call that is answered again moves to the frequent ones,
// so that a caller who makes up ever new calls removes nothing that is in use.
type store struct {
	vary []string // the headers that make two calls differ, in canonical form

	mu               sync.Mutex
	recent, frequent segment
}

// known is a good answer of the past.
type known struct {
	contentType string
	body        []byte
	at          time.Time // when it was asked for
	tombstone   bool      // what was known is deleted since then
}

// overhead is about what the store needs for one answer besides its texts, in bytes.
const overhead = 256

func (k known) size(key string) int { return len(key) + len(k.contentType) + len(k.body) + overhead }

func newStore(vary []string) *store {
	return &store{vary: vary, recent: newSegment(maxRecent), frequent: newSegment(maxFrequent)}
}

// keep replaces what is known of a call, unless that was asked for later: a slow answer is an old one.
// A tombstone is kept only in place of an answer.
func (s *store) keep(r *http.Request, answer known) {
	k := s.key(r)
	if len(k) > maxKey {
		return
	}
	if cap(answer.body) > len(answer.body) {
		answer.body = slices.Clip(bytes.Clone(answer.body))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.peek(k)
	switch {
	case ok && last.at.After(answer.at), !ok && answer.tombstone:
	case answer.size(k) > maxKnown:
		s.recent.remove(k)
		s.frequent.remove(k)
	case ok:
		s.promote(k, answer)
	default:
		s.recent.add(k, answer)
	}
}

// find returns what is known of a call, and notes that it is in use.
func (s *store) find(r *http.Request) (known, bool) {
	k := s.key(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, ok := s.peek(k)
	if !ok || answer.tombstone {
		return known{}, false
	}
	s.promote(k, answer)
	return answer, true
}

func (s *store) peek(key string) (known, bool) {
	if answer, ok := s.frequent.lru.Peek(key); ok {
		return answer, true
	}
	return s.recent.lru.Peek(key)
}

// promote makes an answer the latest of the frequent ones; those that have no room there any more are
// recent ones again.
func (s *store) promote(key string, answer known) {
	s.recent.remove(key)
	for _, demoted := range s.frequent.add(key, answer) {
		s.recent.add(demoted.key, demoted.known)
	}
}

// key identifies a call: its path, its query, and the headers that it varies by. Most calls have a
// path only. The path is taken as the call has it; URL.EscapedPath would check the spelling, a string
// each time.
func (s *store) key(r *http.Request) string {
	k := r.URL.RawPath
	if k == "" {
		k = r.URL.Path
	}
	if strings.ContainsAny(k, "?\n") { // which are separators below
		k = r.URL.EscapedPath()
	}
	if r.URL.RawQuery != "" {
		k += "?" + r.URL.RawQuery
	}
	for _, name := range s.vary {
		if values := r.Header[name]; len(values) > 0 {
			k += "\n" + name + ": " + strings.Join(values, ", ")
		}
	}
	return k
}

// segment is an LRU that is bounded by the size of its entries.
type segment struct {
	lru       *simplelru.LRU[string, known]
	size, max int // bytes
}

// entry is what has left a segment.
type entry struct {
	key string
	known
}

func newSegment(size int) segment {
	lru, err := simplelru.NewLRU[string, known](math.MaxInt, nil)
	if err != nil {
		panic(err) // the size is a constant
	}
	return segment{lru: lru, max: size}
}

// add makes an entry, new or not, the latest, and returns those that left for it.
func (s *segment) add(key string, answer known) (evicted []entry) {
	if old, ok := s.lru.Peek(key); ok {
		s.size -= old.size(key)
	}
	s.lru.Add(key, answer)
	s.size += answer.size(key)
	for s.size > s.max {
		k, v, _ := s.lru.RemoveOldest()
		s.size -= v.size(k)
		evicted = append(evicted, entry{k, v})
	}
	return evicted
}

func (s *segment) remove(key string) {
	if answer, ok := s.lru.Peek(key); ok {
		s.lru.Remove(key)
		s.size -= answer.size(key)
	}
}
