package fleet

import (
	"bytes"
	"encoding/json"
)

// scan reads a report as the fleet's own services write it: the known fields, by their exact names,
// each a number, null or a string without escapes. It reports false for anything else, which
// encoding/json then reads. Every report is read twice on its way, and a Decode with scan takes a
// third of the time.
func scan(report []byte) (w wire, ok bool) {
	s := scanner{report}
	if !s.skip('{') {
		return w, false
	}
	for {
		name, ok := s.text()
		if !ok || !s.skip(':') {
			return w, false
		}
		value, ok := s.value()
		if !ok || !w.set(name, value) {
			return w, false
		}
		if !s.skip(',') {
			return w, s.skip('}') && s.end()
		}
	}
}

// set keeps a field's value as it came; the last one of a name counts, as in encoding/json.
func (w *wire) set(quoted, value []byte) bool {
	switch string(quoted) {
	case `"name"`:
		w.Name = value
	case `"lat"`:
		w.Lat = value
	case `"lng"`:
		w.Lng = value
	case `"timestamp"`:
		w.Timestamp = value
	case `"speed"`:
		w.Speed = value
	default:
		return false
	}
	return true
}

// scanner takes tokens off its front; white space before one is skipped.
type scanner struct{ rest []byte }

func (s *scanner) end() bool {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\r' || s.rest[0] == '\t') {
		s.rest = s.rest[1:]
	}
	return len(s.rest) == 0
}

func (s *scanner) skip(c byte) bool {
	if s.end() || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// text takes a string without escapes, with its quotes.
func (s *scanner) text() ([]byte, bool) {
	if s.end() || s.rest[0] != '"' {
		return nil, false
	}
	closing := bytes.IndexByte(s.rest[1:], '"')
	if closing < 0 || !plain(s.rest[1:1+closing]) {
		return nil, false
	}
	return s.take(closing + 2), true
}

func (s *scanner) value() ([]byte, bool) {
	if s.end() || s.rest[0] == '"' {
		return s.text()
	}
	n := 0
	for n < len(s.rest) && s.rest[n] > ' ' && s.rest[n] != ',' && s.rest[n] != '}' {
		n++
	}
	v := s.take(n)
	return v, string(v) == "null" || isNumber(v)
}

func (s *scanner) take(n int) []byte {
	token := s.rest[:n:n]
	s.rest = s.rest[n:]
	return token
}

// plain reports whether a JSON string's inside is its text: printable ASCII, nothing escaped.
func plain(inside []byte) bool {
	for _, c := range inside {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// unquote reads a JSON string; null is "", as in encoding/json.
func unquote(raw []byte) (text string, err error) {
	if n := len(raw); n >= 2 && raw[0] == '"' && raw[n-1] == '"' && plain(raw[1:n-1]) {
		return string(raw[1 : n-1]), nil
	}
	err = json.Unmarshal(raw, &text)
	return text, err
}
