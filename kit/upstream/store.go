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

// Sizes of the store of one upstream, in bytes. The two stores of a gateway take a quarter of its pod's
// 128 MiB.
const (
	maxRecent   = 4 << 20 // answers that were stored once
	maxFrequent = 8 << 20 // answers that were stored or used again
	maxKnown    = 4 << 20 // one answer: all positions of a fleet of 20,000
	maxKey      = 2 << 10 // path, query and headers of a call; answers with longer keys are not stored
)

// store has the last good answer to each call, in a segmented LRU. A new call evicts only recent
// answers. A call that is made again moves to the frequent ones, so that a caller who makes many
// different calls evicts nothing that is in use.
type store struct {
	vary []string // headers that are part of the key, in canonical form

	mu               sync.Mutex
	recent, frequent segment
}

// known is a stored answer.
type known struct {
	contentType string
	body        []byte
	at          time.Time // when the request was sent
	tombstone   bool      // the resource is known to be deleted
}

// overhead is roughly what an answer needs in addition to its strings, in bytes.
const overhead = 256

func (k known) size(key string) int { return len(key) + len(k.contentType) + len(k.body) + overhead }

func newStore(vary []string) *store {
	return &store{vary: vary, recent: newSegment(maxRecent), frequent: newSegment(maxFrequent)}
}

// keep stores answer, unless the stored answer to the same call was requested later: a slow answer is an
// old one. It stores a tombstone only if there is an answer to replace.
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

// find returns the stored answer to a call, and moves it to the frequent ones.
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

// promote adds an answer to the frequent ones. Answers that it evicts from there become recent ones.
func (s *store) promote(key string, answer known) {
	s.recent.remove(key)
	for _, demoted := range s.frequent.add(key, answer) {
		s.recent.add(demoted.key, demoted.known)
	}
}

// key returns the key of a call: its path, query and the headers in vary. Most calls have a path only,
// so key avoids the allocations of URL.EscapedPath.
func (s *store) key(r *http.Request) string {
	k := r.URL.RawPath
	if k == "" {
		k = r.URL.Path
	}
	if strings.ContainsAny(k, "?\n") { // the separators below
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

// segment is an LRU cache that is limited by the total size of its entries.
type segment struct {
	lru       *simplelru.LRU[string, known]
	size, max int // bytes
}

// entry is an evicted entry of a segment.
type entry struct {
	key string
	known
}

func newSegment(size int) segment {
	lru, err := simplelru.NewLRU[string, known](math.MaxInt, nil)
	if err != nil {
		panic(err) // never: the size is positive
	}
	return segment{lru: lru, max: size}
}

// add adds or replaces the answer of key as the latest entry, and returns the entries that it evicts.
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
