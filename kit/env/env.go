// Package env reads a service's configuration from its environment. It reads values only, reports
// all bad variables in one error, and generates the table of a README from the same calls.
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

// Reader reads variables and records each one for the log, the table and the error. Each method that reads
// one takes its name, its default and its meaning for the table. An empty variable has the default. For a
// bad value the method adds an error to Err.
type Reader struct {
	getenv func(string) string
	vars   []variable
	shared bool // variables read now go into SharedTable
	errs   []error
}

type variable struct {
	name, def, value, meaning string
	shared                    bool
}

// hidden replaces a secret's value in the log and in errors.
const hidden = "(set)"

// New returns a Reader over getenv (os.Getenv in a program, a map in a test).
func New(getenv func(string) string) *Reader { return &Reader{getenv: getenv} }

// Getenv returns the value of a variable without recording it: it is neither logged nor in the table.
func (r *Reader) Getenv(name string) string { return r.getenv(name) }

// read records one variable and returns its value without surrounding space, or def if that is empty.
func (r *Reader) read(name, def, meaning string) string {
	value := strings.TrimSpace(r.getenv(name))
	if value == "" {
		value = def
	}
	r.vars = append(r.vars, variable{name, def, value, meaning, r.shared})
	return value
}

// Fail adds the error "NAME: VALUE: " and a formatted rest, such as "must be …", to Err. A secret's
// value is replaced by "(set)"; of a variable that is not set, the value is its default.
func (r *Reader) Fail(name, format string, args ...any) {
	got := strconv.Quote(r.getenv(name))
	for _, v := range r.vars {
		switch {
		case v.name != name:
		case v.value == hidden:
			got = hidden
		case strings.TrimSpace(r.getenv(name)) == "" && v.value != "":
			got = v.value + " (default)"
		}
	}
	r.fail(name, got, format, args...)
}

// FailSecret is Fail for a variable whose value may contain a secret and was not read by Secret.
func (r *Reader) FailSecret(name, format string, args ...any) { r.fail(name, hidden, format, args...) }

func (r *Reader) fail(name, got, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s: %s", name, got, fmt.Sprintf(format, args...)))
}

// String reads any text.
func (r *Reader) String(name, def, meaning string) string { return r.read(name, def, meaning) }

// Secret reads a text that is shown neither in the log nor in errors. It has no default.
func (r *Reader) Secret(name, meaning string) string {
	value := r.read(name, "", meaning)
	if value != "" {
		r.vars[len(r.vars)-1].value = hidden
	}
	return value
}

// Bool reads true or false, in any form that strconv.ParseBool accepts.
func (r *Reader) Bool(name string, def bool, meaning string) bool {
	v, err := strconv.ParseBool(r.read(name, strconv.FormatBool(def), meaning))
	if err != nil {
		r.Fail(name, "must be true or false")
		return def
	}
	return v
}

// Int reads a whole number from min to max.
func (r *Reader) Int(name string, def, min, max int, meaning string) int {
	return int(r.Int64(name, int64(def), int64(min), int64(max), meaning))
}

// Int64 reads a whole number from min to max.
func (r *Reader) Int64(name string, def, min, max int64, meaning string) int64 {
	v, err := strconv.ParseInt(r.read(name, strconv.FormatInt(def, 10), meaning), 10, 64)
	if err != nil || v < min || v > max {
		r.Fail(name, "must be a whole number from %d to %d", min, max)
		return def
	}
	return v
}

// Duration reads a Go duration ("250ms", "1m30s") from min to max.
func (r *Reader) Duration(name string, def, min, max time.Duration, meaning string) time.Duration {
	v, err := time.ParseDuration(r.read(name, shortDuration(def), meaning))
	if err != nil || v < min || v > max {
		r.Fail(name, "must be a duration from %s to %s, such as %s", shortDuration(min), shortDuration(max), shortDuration(def))
		return def
	}
	return v
}

// OneOf reads one of the known words, which it appends to the meaning.
func (r *Reader) OneOf(name, def string, known []string, meaning string) string {
	v := r.read(name, def, meaning+" ("+strings.Join(known, ", ")+")")
	if !slices.Contains(known, v) {
		r.Fail(name, "must be one of %s", strings.Join(known, ", "))
		return def
	}
	return v
}

// URL reads an http or https address without query, fragment and user. host:port is short for
// http://host:port. It returns nil for an empty variable with an empty default, and an empty URL for a
// bad one.
func (r *Reader) URL(name, def, meaning string) *url.URL {
	text := r.read(name, def, meaning)
	if text == "" {
		return nil
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") || !IsPort(u.Port()) || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		r.Fail(name, "must be an address such as http://host:port")
		return &url.URL{}
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u
}

// IsPort reports whether port is from 1 to 65535, or empty: the default of the scheme.
func IsPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// Addr reads an address to listen on. An empty host means every interface, port 0 any free port.
func (r *Reader) Addr(name, def, meaning string) string {
	v := r.read(name, def, meaning)
	_, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		r.Fail(name, "must be host:port or :port")
	}
	return v
}

// Err returns the errors of all bad variables, one per line, or nil.
func (r *Reader) Err() error {
	if len(r.errs) == 0 {
		return nil
	}
	return fmt.Errorf("configuration: %w", errors.Join(r.errs...))
}

// LogValue returns the effective value of each variable read.
func (r *Reader) LogValue() slog.Value {
	attrs := make([]slog.Attr, len(r.vars))
	for i, v := range r.vars {
		attrs[i] = slog.String(v.name, v.value)
	}
	return slog.GroupValue(attrs...)
}

// Shared calls read. The variables that it reads go into SharedTable instead of Table.
func (r *Reader) Shared(read func()) {
	before := r.shared
	r.shared = true
	read()
	r.shared = before
}

// Table returns the Markdown table of the service's own variables: variable, default, meaning.
func (r *Reader) Table() string { return r.table(false) }

// SharedTable returns the table of the variables read within Shared.
func (r *Reader) SharedTable() string { return r.table(true) }

func (r *Reader) table(shared bool) string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n| --- | --- | --- |\n")
	for _, v := range r.vars {
		if v.shared != shared {
			continue
		}
		def := "unset"
		if v.def != "" {
			def = "`" + v.def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.name, def, v.meaning)
	}
	return b.String()
}

// shortDuration formats 1m0s as 1m and 1h0m0s as 1h.
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
