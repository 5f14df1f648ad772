package experiment

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Duration is a time.Duration, written as 1.5s.
type Duration time.Duration

// durationForm is what a duration must be: those of an experiment have bounds of an hour or less.
const durationForm = "a duration such as 1.5s, at most 1h"

// String returns the form that files have.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%.60q: must be %s", text, durationForm)
	}
	*d = Duration(parsed)
	return nil
}

// Share is a number from 0 to 1, written as 0.95 or 95%.
type Share float64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Share) UnmarshalText(text []byte) error {
	digits, percent := strings.CutSuffix(string(text), "%")
	number, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if percent {
		number /= 100
	}
	if err != nil || !(number >= 0 && number <= 1) {
		return fmt.Errorf("%.60q: must be a share such as 0.95 or 95%%", text)
	}
	*s = Share(number)
	return nil
}

// Value is one value of a sweep, as it is written: 3, 0.5, 10s.
type Value string

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Value) UnmarshalText(text []byte) error {
	if len(text) == 0 || len(text) > 100 || strings.ContainsAny(string(text), "/:\n") {
		return fmt.Errorf("%.60q: must be 1 to 100 characters without \"/\", \":\" and line breaks, such as 3, 0.5 or 10s", text)
	}
	*v = Value(text)
	return nil
}

// Count is a number of pods, or a placeholder of the sweep: 2, "${replicas}".
type Count string

// maxCount is the most pods of one Deployment.
const maxCount = 100

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Count) UnmarshalText(text []byte) error {
	if *c = Count(text); placeholder.FindString(string(text)) == string(text) && len(text) > 0 {
		return nil
	}
	_, err := c.number()
	return err
}

func (c Count) number() (int, error) {
	n, err := strconv.ParseUint(string(c), 10, 31)
	if err != nil || n > maxCount {
		return 0, fmt.Errorf("%.60q: must be a whole number from 0 to %d", string(c), maxCount)
	}
	return int(n), nil
}

// Point is one value of each axis that an arm or a fault depends on.
type Point map[string]string

// Number returns the value of an axis as a number, a duration in seconds; ok is
// false for one that is neither.
func (p Point) Number(axis string) (number float64, ok bool) {
	text := p[axis]
	if d, err := time.ParseDuration(text); err == nil && text != "0" {
		return d.Seconds(), true
	}
	number, err := strconv.ParseFloat(text, 64)
	return number, err == nil
}

// with returns both; other's values win.
func (p Point) with(other Point) Point {
	both := Point{}
	maps.Copy(both, p)
	maps.Copy(both, other)
	return both
}

// Paths is one path or a list.
type Paths []string

func (p *Paths) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		*p = Paths{n.Value}
		return
	}
	var list []string
	d.value(n, &list, path, "a path, or a list of paths")
	*p = list
}

// Object is a part of a manifest.
type Object map[string]any

func (o *Object) decodeNode(d *decoder, n *yaml.Node, path string) {
	var read any
	if err := n.Decode(&read); err != nil || n.Kind != yaml.MappingNode {
		d.fail(n, path, "must be a part of an object, with kind and metadata.name")
		return
	}
	text, err := json.Marshal(read)
	if err == nil {
		err = json.Unmarshal(text, o)
	}
	if err != nil {
		d.fail(n, path, "must have keys that are strings")
	}
}

// Ref returns which object a patch changes. An empty namespace is any.
func (o Object) Ref() (kind, namespace, name string) {
	kind, _ = o["kind"].(string)
	metadata, _ := o["metadata"].(map[string]any)
	namespace, _ = metadata["namespace"].(string)
	name, _ = metadata["name"].(string)
	return kind, namespace, name
}

// Replicas are some of a service's pods: all of them, a number of them, or those
// that are named. The zero value is one.
type Replicas struct {
	All   bool
	Some  int
	Names []string
	Swept string // a placeholder of the sweep, which Expand replaces
}

// N returns how many pods are meant, of a service with this many.
func (r Replicas) N(of int) int {
	switch {
	case r.All:
		return of
	case len(r.Names) > 0:
		return len(r.Names)
	}
	return min(max(1, r.Some), of)
}

// MarshalJSON writes the form that files have: all, 2, or a list of names.
func (r Replicas) MarshalJSON() ([]byte, error) {
	switch {
	case r.Swept != "":
		return json.Marshal(r.Swept)
	case r.All:
		return json.Marshal("all")
	case len(r.Names) > 0:
		return json.Marshal(r.Names)
	}
	return json.Marshal(max(1, r.Some))
}

const replicasForm = "one, all, a number from 1 to 100, or a list of pods"

func (r *Replicas) decodeNode(d *decoder, n *yaml.Node, path string) {
	switch {
	case n.Kind == yaml.SequenceNode:
		if d.value(n, &r.Names, path, replicasForm); len(n.Content) == 0 {
			d.failed(n, path, "empty: must be "+replicasForm)
		}
	case n.Kind != yaml.ScalarNode:
		d.fail(n, path, "must be "+replicasForm)
	case n.Value != "" && placeholder.FindString(n.Value) == n.Value:
		r.Swept = n.Value
	default:
		if err := r.read(n.Value); err != nil {
			d.fail(n, path, "must be "+replicasForm)
		}
	}
}

// read reads the form of a scalar: one, all, 2.
func (r *Replicas) read(text string) error {
	number, err := strconv.Atoi(text)
	switch {
	case text == "one":
		*r = Replicas{Some: 1}
	case text == "all":
		*r = Replicas{All: true}
	case err == nil && number >= 1 && number <= maxCount:
		*r = Replicas{Some: number}
	default:
		return fmt.Errorf("%.60q: must be %s", text, replicasForm)
	}
	return nil
}

// at returns the replicas at a point of the sweep.
func (r Replicas) at(at Point) (filled Replicas, err error) {
	if r.Swept == "" {
		r.Names = slices.Clone(r.Names)
		for i, name := range r.Names {
			r.Names[i] = at.fill(name)
		}
		return r, nil
	}
	err = filled.read(at.fill(r.Swept))
	return filled, err
}

// Action is what the launcher does to a pod, as it is written.
type Action string

// Kinds of actions.
const (
	Kill = "kill" // SIGKILL; the launcher starts the pod again
	Stop = "stop" // SIGSTOP, and SIGCONT after a time: stop 5s
	Roll = "roll" // restarts all pods, one after the other, as a rollout does
)

// Parse returns the kind of the action, and for how long it lasts.
func (a Action) Parse() (kind string, lasts time.Duration, err error) {
	kind, rest, _ := strings.Cut(strings.TrimSpace(string(a)), " ")
	switch kind {
	case Kill, Roll:
		if rest == "" {
			return kind, 0, nil
		}
	case Stop:
		lasts, err := time.ParseDuration(strings.TrimSpace(rest))
		if err == nil && lasts > 0 && lasts <= time.Hour {
			return kind, lasts, nil
		}
	}
	return "", 0, fmt.Errorf("%.60q: must be %s, %s 5s (at most 1h) or %s", string(a), Kill, Stop, Roll)
}

var placeholder = regexp.MustCompile(`\$\{([A-Za-z][A-Za-z0-9]*)\}`)

// badPlaceholders returns what looks like placeholders in a part of the experiment, and is none.
func badPlaceholders(part any) (bad []string) {
	text, _ := json.Marshal(part) // as placeholders
	for _, match := range placeholderLike.FindAllString(string(text), -1) {
		if placeholder.FindString(match) != match && !slices.Contains(bad, match) {
			bad = append(bad, match)
		}
	}
	return bad
}

var placeholderLike = regexp.MustCompile(`\$\{[^}"]*\}?`)

// fill replaces the placeholders of a text.
func (p Point) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(match string) string {
		if value, known := p[match[2:len(match)-1]]; known {
			return value
		}
		return match
	})
}

// fillAny replaces the placeholders in the strings of a decoded object. A string
// that is one placeholder alone becomes the value with its own type.
func (p Point) fillAny(value any) any {
	switch v := value.(type) {
	case string:
		filled := p.fill(v)
		if filled != v && placeholder.FindString(v) == v {
			var typed any
			if yaml.Unmarshal([]byte(filled), &typed) == nil {
				return typed
			}
		}
		return filled
	case map[string]any:
		filled := make(map[string]any, len(v))
		for key, inner := range v {
			filled[key] = p.fillAny(inner)
		}
		return filled
	case []any:
		filled := slices.Clone(v)
		for i := range filled {
			filled[i] = p.fillAny(v[i])
		}
		return filled
	}
	return value
}
