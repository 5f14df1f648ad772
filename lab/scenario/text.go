package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Pattern is a regular expression in Go's syntax, unanchored.
type Pattern struct{ *regexp.Regexp }

// maxPattern bounds a pattern, in bytes.
const maxPattern = 1000

// UnmarshalJSON parses a regular expression.
func (p *Pattern) UnmarshalJSON(data []byte) error {
	text, err := stringOf(data, "a regular expression")
	if err != nil {
		return err
	}
	if text == "" || len(text) > maxPattern {
		return fmt.Errorf("regular expression: %d bytes: must be between 1 and %d", len(text), maxPattern)
	}
	if p.Regexp, err = regexp.Compile(text); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return nil
}

// UnmarshalJSON parses a duration such as 1.5s.
func (d *Duration) UnmarshalJSON(data []byte) error {
	text, err := stringOf(data, "a duration such as 1.5s")
	if err != nil {
		return err
	}
	if d.Duration, err = time.ParseDuration(text); err != nil || d.Duration < 0 || d.Duration > time.Hour {
		return fmt.Errorf("%.60q: must be a duration such as 1.5s, between 0 and 1h", text)
	}
	return nil
}

// UnmarshalJSON parses ingress, nodePort:PORT or workload:DEPLOYMENT.
func (o *Origin) UnmarshalJSON(data []byte) error {
	const form = "ingress, nodePort:PORT or workload:DEPLOYMENT"
	text, err := stringOf(data, form)
	if err != nil {
		return err
	}
	kind, rest, _ := strings.Cut(text, ":")
	switch {
	case text == "ingress":
		o.Ingress = true
		return nil
	case kind == "workload" && rest != "":
		o.Workload = rest
		return nil
	case kind == "nodePort":
		if port, err := strconv.Atoi(rest); err == nil && port >= 1 && port <= 65535 {
			o.NodePort = port
			return nil
		}
	}
	return fmt.Errorf("%.60q: must be %s", text, form)
}

// UnmarshalJSON parses a status such as 200 or 5xx.
func (s *Status) UnmarshalJSON(data []byte) error {
	text := string(bytes.Trim(data, `"`))
	if class, ok := strings.CutSuffix(text, "xx"); ok && len(class) == 1 && class >= "1" && class <= "5" {
		s.Class = int(class[0] - '0')
		return nil
	}
	code, err := strconv.Atoi(text)
	if err != nil || code < 100 || code > 599 {
		return fmt.Errorf("%.60q: must be a status such as 200 or 5xx", text)
	}
	s.Code = code
	return nil
}

// Is reports whether a code is the status, or belongs to its class.
func (s Status) Is(code int) bool { return code == s.Code || (s.Class != 0 && code/100 == s.Class) }

var settingForm = regexp.MustCompile(`^([a-z0-9][a-z0-9.-]*):([A-Za-z_][A-Za-z0-9_]*)=([^\x00]*)$`)

// UnmarshalJSON parses DEPLOYMENT:NAME=VALUE.
func (s *Setting) UnmarshalJSON(data []byte) error {
	const form = "DEPLOYMENT:NAME=VALUE, such as staff-service:VARIANT=bad"
	text, err := stringOf(data, form)
	if err != nil {
		return err
	}
	match := settingForm.FindStringSubmatch(text)
	if match == nil {
		return fmt.Errorf("%.60q: must be %s", text, form)
	}
	s.Target, s.Name, s.Value = match[1], match[2], match[3]
	return nil
}

// UnmarshalJSON parses "all", "none" or an object.
func (c *Count) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case `"all"`:
		c.All = true
		return nil
	case `"none"`:
		c.None = true
		return nil
	}
	type fields Count // without this method
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if err := strict.Decode((*fields)(c)); err != nil {
		return fmt.Errorf("%.60s: %s: must be all, none, or one of atLeast, atMost, perRequest, share, shareAtLeast and shareAtMost",
			data, strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// stringOf parses a JSON string. form describes it, for the error.
func stringOf(data []byte, form string) (string, error) {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return "", fmt.Errorf("%.60s: must be %s", data, form)
	}
	return text, nil
}
