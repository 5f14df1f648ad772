package lint

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"fleetman.example/lab/manifest"
)

// object is a manifest with all of its fields.
type object struct {
	manifest.Object
	fields map[string]any
}

// newObject returns an object without fields for one that is not a JSON object.
func newObject(o manifest.Object) *object {
	parsed := &object{Object: o}
	_ = json.Unmarshal(o.JSON, &parsed.fields)
	return parsed
}

// at returns the value at a path of keys.
func (o *object) at(keys ...string) value {
	return value{object: o, any: o.fields}.at(keys...)
}

// step is one step of a path: a key of an object, or an item of a list with its
// name, if it has one.
type step struct {
	key   string
	index int // of a list; -1 for a key
	name  string
}

// value is a part of an object, and the path that leads to it. The part may be
// missing: then any is nil.
type value struct {
	object *object
	path   []step
	any    any
}

// at descends along keys.
func (v value) at(keys ...string) value {
	for _, key := range keys {
		fields, _ := v.any.(map[string]any)
		v = value{v.object, append(slices.Clip(v.path), step{key: key, index: -1}), fields[key]}
	}
	return v
}

// has reports whether the value is there.
func (v value) has() bool { return v.any != nil }

// items returns the items of a list.
func (v value) items() []value {
	list, _ := v.any.([]any)
	items := make([]value, len(list))
	for i, item := range list {
		fields, _ := item.(map[string]any)
		name, _ := fields["name"].(string)
		items[i] = value{v.object, append(slices.Clip(v.path), step{index: i, name: name}), item}
	}
	return items
}

// keys returns the keys of an object, sorted.
func (v value) keys() []string {
	fields, _ := v.any.(map[string]any)
	return slices.Sorted(maps.Keys(fields))
}

// text returns a string, or "".
func (v value) text() string {
	text, _ := v.any.(string)
	return text
}

// texts returns the strings of a list.
func (v value) texts() []string {
	var texts []string
	for _, item := range v.items() {
		texts = append(texts, item.text())
	}
	return texts
}

// labels returns an object's strings.
func (v value) labels() map[string]string {
	labels := map[string]string{}
	for _, key := range v.keys() {
		labels[key] = v.at(key).text()
	}
	return labels
}

// maxCount bounds numbers, so that products stay within 64 bits.
const maxCount = 1_000_000

// count returns a whole number from 0 to maxCount, or a default when the value
// is missing or not a number.
func (v value) count(missing int) int {
	return int(math.Trunc(v.number(float64(missing))))
}

// number returns a number from 0 to maxCount, also one in a string, as the
// mesh's own decoder accepts it.
func (v value) number(missing float64) float64 {
	n, err := strconv.ParseFloat(v.shown(), 64)
	if err != nil || math.IsNaN(n) {
		return missing
	}
	return min(max(n, 0), maxCount)
}

// maxDuration bounds durations, so that their products stay within 64 bits.
const maxDuration = 1000 * time.Hour

// duration returns a duration from 0 to maxDuration, or a default when the value
// is missing or not a duration.
func (v value) duration(missing time.Duration) time.Duration {
	d, err := time.ParseDuration(v.text())
	if err != nil {
		return missing
	}
	return min(max(d, 0), maxDuration)
}

// isTrue reports whether the value is true.
func (v value) isTrue() bool {
	b, _ := v.any.(bool)
	return b
}

// shown is a scalar as manifests have it.
func (v value) shown() string {
	switch scalar := v.any.(type) {
	case string:
		return scalar
	case float64:
		return strconv.FormatFloat(scalar, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(scalar)
	}
	return ""
}
