// Package env reads a service's configuration from its environment: pure, every bad variable
// reported at once, and the table of a README made from the same calls that read the values.
package env

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reader collects what each read asked for, found and thought wrong.
type Reader struct {
	getenv func(string) string
	vars   []variable
	errs   []error
}

type variable struct{ name, def, value, meaning string }

// hidden stands for a secret's value in the log and in errors.
const hidden = "(set)"

// New returns a Reader over getenv (os.Getenv in a program, a map in a test).
func New(getenv func(string) string) *Reader { return &Reader{getenv: getenv} }

// Getenv is a variable that is not the service's own: neither logged nor in its table.
func (r *Reader) Getenv(name string) string { return r.getenv(name) }

// read notes one variable and answers its text; an empty variable means its default.
func (r *Reader) read(name, def, meaning string) string {
	value := strings.TrimSpace(r.getenv(name))
	if value == "" {
		value = def
	}
	r.vars = append(r.vars, variable{name, def, value, meaning})
	return value
}

// Fail adds a rule of the service's own to the errors: "NAME=value: " and what was expected.
func (r *Reader) Fail(name, format string, args ...any) {
	value := r.getenv(name)
	for _, v := range r.vars {
		if v.name == name && v.value == hidden {
			value = hidden
		}
	}
	r.errs = append(r.errs, fmt.Errorf("%s=%q: %s", name, value, fmt.Sprintf(format, args...)))
}

// String reads any text.
func (r *Reader) String(name, def, meaning string) string { return r.read(name, def, meaning) }

// Secret reads a text whose value is never shown, neither in the log nor in the table.
func (r *Reader) Secret(name, meaning string) string {
	value := r.read(name, "", meaning)
	if value != "" {
		r.vars[len(r.vars)-1].value = hidden
	}
	return value
}

// Bool reads true or false, in any form that strconv.ParseBool knows.
func (r *Reader) Bool(name string, def bool, meaning string) bool {
	v, err := strconv.ParseBool(r.read(name, strconv.FormatBool(def), meaning))
	if err != nil {
		r.Fail(name, "expected true or false")
		return def
	}
	return v
}

// Int reads a whole number between min and max.
func (r *Reader) Int(name string, def, min, max int, meaning string) int {
	return int(r.Int64(name, int64(def), int64(min), int64(max), meaning))
}

// Int64 reads a whole number between min and max.
func (r *Reader) Int64(name string, def, min, max int64, meaning string) int64 {
	v, err := strconv.ParseInt(r.read(name, strconv.FormatInt(def, 10), meaning), 10, 64)
	if err != nil || v < min || v > max {
		r.Fail(name, "expected a whole number from %d to %d", min, max)
		return def
	}
	return v
}

// Float reads a number between min and max.
func (r *Reader) Float(name string, def, min, max float64, meaning string) float64 {
	v, err := strconv.ParseFloat(r.read(name, strconv.FormatFloat(def, 'g', -1, 64), meaning), 64)
	if err != nil || !(v >= min && v <= max) { // NaN is in no range
		r.Fail(name, "expected a number from %g to %g", min, max)
		return def
	}
	return v
}

// Duration reads a Go duration ("250ms", "1m30s") between min and max.
func (r *Reader) Duration(name string, def, min, max time.Duration, meaning string) time.Duration {
	v, err := time.ParseDuration(r.read(name, shortDuration(def), meaning))
	if err != nil || v < min || v > max {
		r.Fail(name, "expected a duration from %s to %s, such as %s", shortDuration(min), shortDuration(max), shortDuration(def))
		return def
	}
	return v
}

// OneOf reads one of the known words.
func (r *Reader) OneOf(name, def string, known []string, meaning string) string {
	v := r.read(name, def, meaning+" ("+strings.Join(known, ", ")+")")
	if !slices.Contains(known, v) {
		r.Fail(name, "expected one of %s", strings.Join(known, ", "))
		return def
	}
	return v
}

// URL reads an http or https address without query; a bare host:port reads as http://host:port.
// A variable without a value and without a default is nil.
func (r *Reader) URL(name, def, meaning string) *url.URL {
	text := r.read(name, def, meaning)
	if text == "" {
		return nil
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") || !isPort(u.Port()) || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		r.Fail(name, "expected an address such as http://host:port")
		return &url.URL{}
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u
}

// isPort accepts what a call can go to; none means the scheme's own.
func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// Addr reads an address to listen on; an empty host means every interface, port 0 any free port.
func (r *Reader) Addr(name, def, meaning string) string {
	v := r.read(name, def, meaning)
	_, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		r.Fail(name, "expected host:port or :port")
	}
	return v
}

// Err joins every bad variable, one a line; nil when all are good.
func (r *Reader) Err() error {
	if len(r.errs) == 0 {
		return nil
	}
	return fmt.Errorf("configuration: %w", errors.Join(r.errs...))
}

// LogValue is the effective configuration, for one log line at start.
func (r *Reader) LogValue() slog.Value {
	attrs := make([]slog.Attr, len(r.vars))
	for i, v := range r.vars {
		attrs[i] = slog.String(v.name, v.value)
	}
	return slog.GroupValue(attrs...)
}

// Table is the configuration table of a README: variable, default, meaning.
func (r *Reader) Table() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n| --- | --- | --- |\n")
	for _, v := range r.vars {
		def := "unset"
		if v.def != "" {
			def = "`" + v.def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.name, def, v.meaning)
	}
	return b.String()
}

// shortDuration writes 1m0s as 1m and 1h0m0s as 1h.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
