package upstream

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func newKnown(body string) known { return known{body: []byte(body), at: time.Now()} }

// has reports whether the store has body for r, without using it.
func (s *store) has(r *http.Request, body string) bool {
	answer, ok := s.peek(s.key(r))
	return ok && string(answer.body) == body
}

// inBounds fails the test if the store is too large, or its count is wrong.
func (s *store) inBounds(t *testing.T) {
	t.Helper()
	for name, seg := range map[string]*segment{"recent": &s.recent, "frequent": &s.frequent} {
		sum := 0
		for _, key := range seg.lru.Keys() {
			answer, _ := seg.lru.Peek(key)
			sum += answer.size(key)
		}
		if sum != seg.size || sum > seg.max {
			t.Fatalf("%s: %d bytes are kept, %d counted, want at most %d", name, sum, seg.size, seg.max)
		}
	}
}

var vary = []string{"X-My-Header"}

// Headers that are not part of the key are ignored, however large they are and however often they change.
func TestChangingHeadersAreOneCall(t *testing.T) {
	s := newStore(vary)
	s.keep(get("/driver/other"), newKnown("other"))
	for i := range 4500 {
		s.keep(get("/driver/x", "X-Amz-Cf-Id", fmt.Sprint(i), "X-Junk", strings.Repeat("j", 50_000)), newKnown("x"))
	}
	s.inBounds(t)
	if total := s.recent.size + s.frequent.size; total > 2048 {
		t.Errorf("%d bytes are kept of two answers", total)
	}
	for _, header := range []string{"X-Amz-Cf-Id", "X-Fleetman-Check", "X-Request-Start", "X-Csrf-Token"} {
		if answer, ok := s.find(get("/driver/x", header, "new")); !ok || string(answer.body) != "x" {
			t.Errorf("%s: got %q, %t", header, answer.body, ok)
		}
	}
	if !s.has(get("/driver/other"), "other") {
		t.Error("another call's answer is lost")
	}
}

// A caller that makes many different calls does not evict answers that are in use.
func TestOneCallerDoesNotEmptyTheStore(t *testing.T) {
	for name, made := range map[string]func(i int) *http.Request{
		"queries": func(i int) *http.Request { return get(fmt.Sprintf("/driver/x?i=%d", i)) },
		"header of a release": func(i int) *http.Request {
			return get("/driver/x", "X-My-Header", fmt.Sprint(i, strings.Repeat("j", 1500)))
		},
		"50 kB header": func(i int) *http.Request {
			return get("/driver/x", "X-My-Header", fmt.Sprint(i, strings.Repeat("j", 50_000)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(vary)
			const others = 100
			for range 2 {
				for i := range others {
					s.keep(get(fmt.Sprintf("/driver/%d", i)), newKnown("known"))
				}
			}
			for i := range 4500 {
				s.keep(made(i), newKnown(strings.Repeat("x", 2000)))
			}
			s.inBounds(t)
			for i := range others {
				if !s.has(get(fmt.Sprintf("/driver/%d", i)), "known") {
					t.Fatalf("the answer to %d is lost", i)
				}
			}
		})
	}
}

// The size of the store is limited, for answers of any size, new and repeated.
func TestStoreIsBounded(t *testing.T) {
	s := newStore(nil)
	big := strings.Repeat("x", 1<<20)
	for i := range 100 {
		for range 1 + i%2 {
			s.keep(get(fmt.Sprintf("/big/%d", i)), newKnown(big))
			s.inBounds(t)
		}
	}
	for i := range 500 {
		s.keep(get(fmt.Sprintf("/%s/%d", strings.Repeat("p", 100_000), i)), newKnown(""))
		s.keep(get(fmt.Sprintf("/%s/%d", strings.Repeat("p", 1000), i)), newKnown(""))
	}
	s.inBounds(t)
	if !s.has(get("/big/99"), big) {
		t.Error("the latest of the frequent answers is lost")
	}
	s.keep(get("/big/99"), newKnown(strings.Repeat("x", maxKnown)))
	if s.has(get("/big/99"), big) {
		t.Error("the older answer remains after one that is too large to store")
	}
	s.inBounds(t)
}

// A stored answer has no unused capacity.
func TestKeptBodyIsClipped(t *testing.T) {
	s := newStore(nil)
	answer := newKnown("")
	answer.body = append(make([]byte, 0, 1<<20), "x"...)
	s.keep(get("/x"), answer)
	kept, _ := s.peek("/x")
	if cap(kept.body) > 32 {
		t.Errorf("%d bytes are held for one", cap(kept.body))
	}
}

func TestKeysDiffer(t *testing.T) {
	s := newStore([]string{"X-User"})
	seen := make(map[string]string)
	for _, target := range []string{"/a?b=1", "/a%3Fb=1", "/a%0AX-User:%20jason", "/a", "/a%20b"} {
		for _, user := range []string{"", "jason"} {
			r := get(target)
			if user != "" {
				r.Header.Set("X-User", user)
			}
			if other, ok := seen[s.key(r)]; ok {
				t.Errorf("%s of %q has the key of %s", target, user, other)
			}
			seen[s.key(r)] = target + " of " + user
		}
	}
}
