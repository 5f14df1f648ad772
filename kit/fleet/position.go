// Package fleet is the wire: what a vehicle's position and a driver look like between services.
// Source: the recorded answers of the original and the contract in the README.
package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// TimeLayout is how every service writes a time: UTC, milliseconds, offset +0000.
const TimeLayout = "2006-01-02T15:04:05.000-0700"

// Position is where a vehicle was at one moment.
type Position struct {
	Name      string
	Lat, Lng  Decimal   // WGS84 degrees
	Timestamp time.Time // the sender's, or the time of receipt in what the tracker answers
	Speed     Decimal   // miles per hour; empty while unknown, null on the wire
}

// Driver is who drives a vehicle.
type Driver struct {
	Name  string `json:"name"`
	Photo string `json:"photo"`
}

// FieldError is a report that cannot be accepted: the field and what was expected of it.
type FieldError struct{ Field, Expected string }

func (e *FieldError) Error() string { return e.Field + ": expected " + e.Expected }

// HTTPStatus makes a bad field the caller's mistake.
func (e *FieldError) HTTPStatus() int { return http.StatusBadRequest }

// wire is a report as it comes; the fields are read one by one, so that an error names its field.
type wire struct {
	Name      json.RawMessage `json:"name"`
	Lat       json.RawMessage `json:"lat"`
	Lng       json.RawMessage `json:"lng"`
	Timestamp json.RawMessage `json:"timestamp"`
	Speed     json.RawMessage `json:"speed"`
}

// Decode reads one report. A report without a timestamp was made now. Errors are *FieldError.
func Decode(body []byte, now time.Time) (Position, error) {
	if !utf8.Valid(body) {
		return Position{}, &FieldError{"body", "UTF-8"}
	}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return Position{}, &FieldError{"body", "a JSON object"}
	}
	w, err := read(body)
	if err != nil {
		return Position{}, &FieldError{"body", fmt.Sprintf("a JSON object (%v)", err)}
	}
	var p Position
	var errs [5]error
	p.Name, errs[0] = decodeName(w.Name)
	p.Lat, errs[1] = decodeDegrees("lat", w.Lat, 90)
	p.Lng, errs[2] = decodeDegrees("lng", w.Lng, 180)
	p.Timestamp, errs[3] = decodeTime(w.Timestamp, now)
	p.Speed, errs[4] = decodeSpeed(w.Speed)
	for _, err := range errs {
		if err != nil {
			return Position{}, err
		}
	}
	return p, nil
}

func read(body []byte) (wire, error) {
	if w, ok := scan(body); ok {
		return w, nil
	}
	var w wire
	err := json.Unmarshal(body, &w)
	return w, err
}

func decodeName(raw json.RawMessage) (string, error) {
	name, err := unquote(raw)
	if err != nil {
		return "", &FieldError{"name", "a vehicle's name as a JSON string"}
	}
	if err := CheckName(name); err != nil {
		return "", err
	}
	return name, nil
}

func decodeDegrees(field string, raw json.RawMessage, limit int64) (Decimal, error) {
	d, err := ParseDecimal(raw)
	if err == nil && d != "" && d.Within(limit) {
		return d, nil
	}
	return "", &FieldError{field, fmt.Sprintf("degrees from -%d to %d as a JSON number of at most %d characters", limit, limit, maxDigits)}
}

func decodeSpeed(raw json.RawMessage) (Decimal, error) {
	d, err := ParseDecimal(raw)
	if err != nil || math.IsInf(d.Float(), 0) {
		return "", &FieldError{"speed", "miles per hour as a JSON number, or null"}
	}
	return d, nil
}

// The oldest moment a report can be from, and how far a sender's clock may be ahead of ours:
// beyond them a timestamp is a mistake, and one far ahead would stay the latest for ever.
var oldest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

const maxAhead = 24 * time.Hour

// decodeTime reads the contract's form, any RFC 3339 form, or milliseconds since 1970, which the
// original accepts; nothing, null and "" mean now.
func decodeTime(raw json.RawMessage, now time.Time) (time.Time, error) {
	if len(raw) == 0 || string(raw) == "null" || string(raw) == `""` {
		return now.UTC(), nil
	}
	t, err := parseTime(raw)
	if err != nil {
		return time.Time{}, &FieldError{"timestamp", "a time such as 2023-11-13T05:31:33.279+0000"}
	}
	if t.Before(oldest) || t.After(now.Add(maxAhead)) {
		return time.Time{}, &FieldError{"timestamp", "a time from the year 2000 to a day ahead of this clock"}
	}
	return t.UTC(), nil
}

func parseTime(raw json.RawMessage) (time.Time, error) {
	if raw[0] != '"' {
		ms, err := strconv.ParseInt(string(raw), 10, 64)
		return time.UnixMilli(ms), err
	}
	text, err := unquote(raw)
	if err != nil {
		return time.Time{}, err
	}
	for _, layout := range []string{TimeLayout, time.RFC3339} { // both take any fraction of a second
		if t, err := time.Parse(layout, strings.ToUpper(text)); err == nil { // RFC 3339 allows t and z
			return t, nil
		}
	}
	return time.Time{}, errors.New("no known form")
}

// AppendJSON appends p as every service writes it, digit for digit.
func (p Position) AppendJSON(b []byte) []byte {
	b = append(b, `{"name":`...)
	b = appendString(b, p.Name)
	b = append(b, `,"lat":`...)
	b = append(b, p.Lat...)
	b = append(b, `,"lng":`...)
	b = append(b, p.Lng...)
	b = append(b, `,"timestamp":"`...)
	b = p.Timestamp.UTC().AppendFormat(b, TimeLayout)
	b = append(b, `","speed":`...)
	if p.Speed == "" {
		b = append(b, "null"...)
	} else {
		b = append(b, p.Speed...)
	}
	return append(b, '}')
}

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			var buf bytes.Buffer
			enc := json.NewEncoder(&buf)
			enc.SetEscapeHTML(false) // as the original writes it
			_ = enc.Encode(s)        // a string always encodes
			return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
