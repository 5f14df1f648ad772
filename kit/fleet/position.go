package fleet

import (
	"bytes"
	"cmp"
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

// TimeLayout is the layout of every time in JSON: UTC, milliseconds, offset +0000.
const TimeLayout = "2006-01-02T15:04:05.000-0700"

// Position is where a vehicle was at one time.
type Position struct {
	Name      string
	Lat, Lng  Decimal   // WGS84 degrees
	Timestamp time.Time // set by the sender, or zero; in the tracker's answers, the time of receipt
	Speed     Decimal   // miles per hour; empty: unknown
}

// Driver is the driver of a vehicle.
type Driver struct {
	Name  string `json:"name"`
	Photo string `json:"photo"`
}

// FieldError is the error of a field: its name, its value and what the value must be.
type FieldError struct{ Field, Got, Must string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Got + ": must be " + e.Must }

// Shown returns at most the first 60 bytes of text, for an error.
func Shown(text string) string {
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}

// got returns Shown for a field's JSON, "missing" for no JSON.
func got(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "missing"
	}
	return Shown(string(raw))
}

// HTTPStatus returns 400.
func (e *FieldError) HTTPStatus() int { return http.StatusBadRequest }

// wire is a report with undecoded fields. They are decoded one by one, so that an error names its field.
type wire struct {
	Name      json.RawMessage `json:"name"`
	Lat       json.RawMessage `json:"lat"`
	Lng       json.RawMessage `json:"lng"`
	Timestamp json.RawMessage `json:"timestamp"`
	Speed     json.RawMessage `json:"speed"`
}

// Decode decodes and checks a report received at now. Its errors are *FieldError.
func Decode(body []byte, now time.Time) (Position, error) {
	if !utf8.Valid(body) {
		return Position{}, &FieldError{"body", "invalid bytes", "UTF-8"}
	}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return Position{}, &FieldError{"body", got(trimmed), "a JSON object"}
	}
	w, err := read(body)
	if err != nil {
		return Position{}, &FieldError{"body", err.Error(), "a JSON object"}
	}
	var p Position
	var errs [5]error
	p.Name, errs[0] = decodeName(w.Name)
	p.Lat, errs[1] = decodeDegrees("lat", w.Lat, 90)
	p.Lng, errs[2] = decodeDegrees("lng", w.Lng, 180)
	p.Timestamp, errs[3] = decodeTime(w.Timestamp, now)
	p.Speed, errs[4] = decodeSpeed(w.Speed)
	if err := cmp.Or(errs[:]...); err != nil { // the first
		return Position{}, err
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
		return "", &FieldError{"name", got(raw), "a vehicle's name as a JSON string"}
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
	return "", &FieldError{field, got(raw), fmt.Sprintf("degrees from -%d to %d as a JSON number of at most %d characters", limit, limit, maxLength)}
}

func decodeSpeed(raw json.RawMessage) (Decimal, error) {
	d, err := ParseDecimal(raw)
	if err != nil || math.IsInf(d.Float(), 0) {
		return "", &FieldError{"speed", got(raw), "miles per hour as a JSON number, or null"}
	}
	return d, nil
}

// oldest is the earliest valid timestamp.
var oldest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// maxAhead is how far a timestamp may be ahead of this clock. A position far ahead would remain the
// latest of its vehicle.
const maxAhead = 24 * time.Hour

// decodeTime accepts what the original accepts: TimeLayout, RFC 3339 and milliseconds since 1970. It
// returns the zero time for no JSON, null and "".
func decodeTime(raw json.RawMessage, now time.Time) (time.Time, error) {
	if len(raw) == 0 || string(raw) == "null" || string(raw) == `""` {
		return time.Time{}, nil
	}
	t, err := parseTime(raw)
	if err != nil {
		return time.Time{}, &FieldError{"timestamp", got(raw), "a time such as 2023-11-13T05:31:33.279+0000"}
	}
	if t.Before(oldest) || t.After(now.Add(maxAhead)) {
		return time.Time{}, &FieldError{"timestamp", got(raw), "a time from the year 2000 to a day ahead of this clock"}
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

// AppendJSON appends p as JSON. Lat, Lng and Speed keep all their digits.
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
			_ = enc.Encode(s)        // never fails for a string
			return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
