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

// UnmarshalJSON reads a regular expression.
func (p *Pattern) UnmarshalJSON(data []byte) error {
	text, err := stringOf(data, "a regular expression")
	if err != nil {
		return err
	}
	if text == "" || len(text) > maxPattern {
		return fmt.Errorf("a regular expression of %d bytes; 1 to %d are expected", len(text), maxPattern)
	}
	if p.Regexp, err = regexp.Compile(text); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return nil
}

// UnmarshalJSON reads a duration such as 1.5s.
func (d *Duration) UnmarshalJSON(data []byte) error {
	text, err := stringOf(data, "a duration such as 1.5s")
	if err != nil {
		return err
	}
	if d.Duration, err = time.ParseDuration(text); err != nil || d.Duration < 0 || d.Duration > time.Hour {
		return fmt.Errorf("%.60q; a duration such as 1.5s, an hour at most, is expected", text)
	}
	return nil
}

// UnmarshalJSON reads ingress, nodePort:PORT or workload:NAME.
func (o *Origin) UnmarshalJSON(data []byte) error {
	const expected = "ingress, nodePort:PORT or workload:DEPLOYMENT"
	text, err := stringOf(data, expected)
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
	return fmt.Errorf("%.60q; %s is expected", text, expected)
}

// UnmarshalJSON reads 200 or 5xx.
func (s *Status) UnmarshalJSON(data []byte) error {
	text := string(bytes.Trim(data, `"`))
	if class, ok := strings.CutSuffix(text, "xx"); ok && len(class) == 1 && class >= "1" && class <= "5" {
		s.Class = int(class[0] - '0')
		return nil
	}
	code, err := strconv.Atoi(text)
	if err != nil || code < 100 || code > 599 {
		return fmt.Errorf("%.60q; a status such as 200 or 5xx is expected", text)
	}
	s.Code = code
	return nil
}

// Is tells whether a status is meant.
func (s Status) Is(code int) bool { return code == s.Code || (s.Class != 0 && code/100 == s.Class) }

var settingForm = regexp.MustCompile(`^([a-z0-9][a-z0-9.-]*):([A-Za-z_][A-Za-z0-9_]*)=([^\x00]*)$`)

// UnmarshalJSON reads DEPLOYMENT:NAME=VALUE.
func (s *Setting) UnmarshalJSON(data []byte) error {
	const expected = "DEPLOYMENT:NAME=VALUE, such as staff-service:VARIANT=bad,"
	text, err := stringOf(data, expected)
	if err != nil {
		return err
	}
	match := settingForm.FindStringSubmatch(text)
	if match == nil {
		return fmt.Errorf("%.60q; %s is expected", text, expected)
	}
	s.Target, s.Name, s.Value = match[1], match[2], match[3]
	return nil
}

// UnmarshalJSON reads all, none, or the fields of an object.
func (c *Count) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case `"all"`:
		c.All = true
		return nil
	case `"none"`:
		c.None = true
		return nil
	}
	var fields struct {
		AtLeast      *int     `json:"atLeast"`
		AtMost       *int     `json:"atMost"`
		PerRequest   *int     `json:"perRequest"`
		Share        *float64 `json:"share"`
		ShareAtLeast *float64 `json:"shareAtLeast"`
		ShareAtMost  *float64 `json:"shareAtMost"`
		Confidence   float64  `json:"confidence"`
	}
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&fields); err != nil {
		return fmt.Errorf("%.60s: %s; all, none, or one of atLeast, atMost, perRequest, share, shareAtLeast and shareAtMost is expected",
			data, strings.TrimPrefix(err.Error(), "json: "))
	}
	*c = Count{
		AtLeast: fields.AtLeast, AtMost: fields.AtMost, PerRequest: fields.PerRequest,
		Share: fields.Share, ShareAtLeast: fields.ShareAtLeast, ShareAtMost: fields.ShareAtMost, Confidence: fields.Confidence,
	}
	return nil
}

func stringOf(data []byte, expected string) (string, error) {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return "", fmt.Errorf("%.60s; %s is expected", data, expected)
	}
	return text, nil
}
