package experiment

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"fleetman.example/lab/manifest"
)

// Problem is one mistake in an experiment.
type Problem struct {
	Source string // the file; empty for an experiment that flags made
	Line   int
	Field  string // its path: arms[0].mesh
	Text   string // "GOT: must be ..."
}

// Error is one line.
func (p Problem) Error() string {
	text := p.Text
	switch {
	case strings.HasPrefix(p.Field, "--") && !strings.Contains(p.Field, " "): // a flag, and its value
		text = p.Field + " " + text
	case p.Field != "":
		text = p.Field + ": " + text
	}
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", p.Source, p.Line, text)
	}
	if p.Source != "" {
		return p.Source + ": " + text
	}
	return text
}

// Problems are all mistakes of an experiment, in the order of their lines.
type Problems []Problem

// Error is one line for each.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// maxBytes bounds one file: some thousand lines. maxList bounds a list in it.
const (
	maxBytes = 1 << 20
	maxList  = 10_000
)

// Read reads the experiment in a file. Figures are those that goals may have; nil
// allows any. An error of the content is Problems.
func Read(path string, figures []Figure) (*Experiment, error) {
	data, err := manifest.ReadFile("the experiment", path, maxBytes)
	if err != nil {
		return nil, err
	}
	return Decode(path, data, figures)
}

// Decode reads the text of an experiment, fills in the defaults and checks it.
func Decode(source string, data []byte, figures []Figure) (*Experiment, error) {
	e, d, err := decodeText(source, data)
	if err != nil {
		return nil, err
	}
	d.addValues(e.check(figures))
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, d.problems
	}
	return e, nil
}

// Recorded reads the experiment of records, and fills in the defaults. The version that measured it has checked it:
// records stay readable when a later one refuses more. Only what a report computes of it is checked again.
func Recorded(data []byte, figures []Figure) (*Experiment, error) {
	e, d, err := decodeText("experiment", data)
	if err != nil {
		return nil, err
	}
	c := &checker{Experiment: e}
	if c.complete() {
		c.problems = nil
		c.theory(figures)
	}
	if d.addValues(c.problems); len(d.problems) > 0 {
		return nil, d.problems
	}
	return e, nil
}

// decodeText reads the text of an experiment. The decoder has the mistakes in its form.
func decodeText(source string, data []byte) (*Experiment, *decoder, error) {
	if len(data) > maxBytes {
		return nil, nil, fmt.Errorf("%s: %d bytes: must be at most %d", source, len(data), maxBytes)
	}
	if err := manifest.CheckSingle(source, data); err != nil {
		return nil, nil, err
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, nil, fmt.Errorf("%s: not YAML: %s", source, strings.Join(strings.Fields(err.Error()), " "))
	}
	d := &decoder{source: source, lines: map[string]int{}}
	e := New()
	e.Source, e.Text, e.lines = source, data, d.lines
	if len(root.Content) == 0 {
		return nil, nil, Problems{{source, 1, "", "empty: must be an experiment"}}
	}
	d.value(root.Content[0], e, "", "")
	if e.Question == "" {
		e.Question = firstComment(data)
	}
	return e, d, nil
}

// addValues adds the mistakes in values but for those that follow from what could not be read.
func (d *decoder) addValues(wrong Problems) {
	for _, p := range wrong {
		if !d.follows(p) {
			d.problems = append(d.problems, p)
		}
	}
}

// follows reports whether a mistake in a value may come from what could not be read: its field, a misspelled key, or a
// name to which it refers.
func (d *decoder) follows(p Problem) bool {
	if slices.ContainsFunc(d.unread, func(u string) bool { return u == "" || within(p.Field, u) || within(u, p.Field) }) {
		return true
	}
	_, given := d.lines[p.Field]
	if slices.Contains(d.strange, p.Field) || !given && slices.Contains(d.strange, parent(p.Field)) {
		return true
	}
	switch {
	case p.Field == "sweep" || refersToName.MatchString(p.Field):
		return slices.ContainsFunc(d.unread, hasName.MatchString) || slices.ContainsFunc(d.strange, d.unnamed)
	case axisName.MatchString(p.Field): // used nowhere
		return slices.ContainsFunc(slices.Concat(d.unread, d.strange), hasPlaceholders.MatchString)
	}
	return false
}

// unnamed reports whether an object with a key that is not known may have a name in it.
func (d *decoder) unnamed(object string) bool {
	_, named := d.lines[object+".name"]
	return hasName.MatchString(object) && !named
}

// parent is the object around a field.
func parent(field string) string { return field[:max(0, strings.LastIndexByte(field, '.'))] }

var (
	// refersToName matches the fields whose values have names of arms, faults and sweeps, and hasName the parts of a
	// file that have these.
	refersToName    = regexp.MustCompile(`^(goals|theory)\[\d+\]\.(arm|fault|over|atLeast|atMost|formula)$|\.from$`)
	hasName         = regexp.MustCompile(`^(arms|faults|sweep)(\[\d+\](\.name|\.values.*)?)?$`)
	axisName        = regexp.MustCompile(`^sweep\[\d+\]\.name$`)
	hasPlaceholders = regexp.MustCompile(`^(fleet|arms|faults)\b`)
)

// within reports whether a field is another one, or a part of it.
func within(field, whole string) bool {
	rest, found := strings.CutPrefix(field, whole)
	return found && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

func firstComment(data []byte) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(string(data), "\ufeff"), "\n")
	comment, found := strings.CutPrefix(first, "#")
	if !found {
		return ""
	}
	return strings.TrimSpace(comment)
}

// decoder reads YAML nodes into Go values and notes every mistake.
type decoder struct {
	source   string
	lines    map[string]int // of each path that was read
	problems Problems
	unread   []string // paths whose values have a wrong form
	strange  []string // objects with a key that is not known
}

// nodeDecoder is a type with forms of its own.
type nodeDecoder interface {
	decodeNode(d *decoder, n *yaml.Node, path string)
}

func (d *decoder) fail(n *yaml.Node, path, must string) { d.failed(n, path, got(n)+": "+must) }

// failed notes a value that is not read.
func (d *decoder) failed(n *yaml.Node, path, text string) {
	d.unread = append(d.unread, path)
	d.problems = append(d.problems, Problem{d.source, n.Line, path, text})
}

// failKey notes a key that is not read. What has the key may lack another one.
func (d *decoder) failKey(key *yaml.Node, path, must string) {
	d.strange = append(d.strange, path)
	d.problems = append(d.problems, Problem{d.source, key.Line, path, got(key) + ": " + must})
}

// got is a node the way an error shows it.
func got(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "an object"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "empty"
	}
	return fmt.Sprintf("%.60q", n.Value)
}

// value reads a node into what the pointer leads to. Form is what it must be, ""
// for what the type says.
func (d *decoder) value(n *yaml.Node, pointer any, path, form string) {
	d.read(n, reflect.ValueOf(pointer).Elem(), path, form)
}

func (d *decoder) read(n *yaml.Node, into reflect.Value, path, form string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.lines[path] = n.Line
	if form == "" {
		form = formOf(into.Type())
	}
	if own, has := into.Addr().Interface().(nodeDecoder); has {
		own.decodeNode(d, n, path)
		return
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		d.read(n, into.Elem(), path, form)
		return
	}
	wanted, found := nodeKinds[into.Kind()]
	if !found {
		wanted = yaml.ScalarNode
	}
	if n.Kind != wanted || n.ShortTag() == "!!null" {
		d.fail(n, path, "must be "+form)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		d.readStruct(n, into, path)
	case reflect.Map:
		d.readMap(n, into, path)
	case reflect.Slice:
		d.readSlice(n, into, path)
	default:
		d.readScalar(n, into, path, form)
	}
}

// nodeKinds are the nodes of values that are no scalars.
var nodeKinds = map[reflect.Kind]yaml.Kind{reflect.Struct: yaml.MappingNode, reflect.Map: yaml.MappingNode, reflect.Slice: yaml.SequenceNode}

func (d *decoder) readScalar(n *yaml.Node, into reflect.Value, path, form string) {
	if text, is := into.Addr().Interface().(encoding.TextUnmarshaler); is {
		if err := text.UnmarshalText([]byte(n.Value)); err != nil {
			d.failed(n, path, err.Error())
		}
		return
	}
	if err := setScalar(into, n); errors.Is(err, strconv.ErrRange) {
		d.fail(n, path, "must be a number closer to 0")
	} else if err != nil {
		d.fail(n, path, "must be "+form)
	}
}

// pairs calls each for every key of a mapping, and notes a key that is there
// twice.
func (d *decoder) pairs(n *yaml.Node, path string, each func(key, value *yaml.Node)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if seen[key.Value] {
			d.failKey(key, path, "must be there once")
			continue
		}
		seen[key.Value] = true
		each(key, n.Content[i+1])
	}
}

func (d *decoder) readStruct(n *yaml.Node, into reflect.Value, path string) {
	fields := fieldsOf(into.Type())
	d.pairs(n, path, func(key, value *yaml.Node) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		if i < 0 {
			d.failKey(key, path, "must be one of "+namesOf(fields))
			return
		}
		d.read(value, into.Field(fields[i].index), join(path, key.Value), "")
	})
}

func (d *decoder) readMap(n *yaml.Node, into reflect.Value, path string) {
	into.Set(reflect.MakeMap(into.Type()))
	d.pairs(n, path, func(key, value *yaml.Node) {
		if key.Kind != yaml.ScalarNode {
			d.failKey(key, path, "must be a name")
			return
		}
		element := reflect.New(into.Type().Elem()).Elem()
		d.read(value, element, join(path, key.Value), "")
		into.SetMapIndex(reflect.ValueOf(key.Value), element)
	})
}

func (d *decoder) readSlice(n *yaml.Node, into reflect.Value, path string) {
	if len(n.Content) > maxList {
		d.failed(n, path, fmt.Sprintf("%d elements: must be at most %d", len(n.Content), maxList))
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content)))
	for i, element := range n.Content {
		d.read(element, into.Index(i), fmt.Sprintf("%s[%d]", path, i), "")
	}
}

// setScalar sets a value to the text of a node, if that is of the value's type.
func setScalar(into reflect.Value, n *yaml.Node) (err error) {
	defer func() {
		if err != nil {
			into.SetZero()
		}
	}()
	switch into.Kind() {
	case reflect.String:
		into.SetString(n.Value)
	case reflect.Bool:
		var is bool
		if err = n.Decode(&is); n.ShortTag() != "!!bool" { // also yes and on are decoded
			err = strconv.ErrSyntax
		}
		into.SetBool(is)
	case reflect.Int:
		var number int64
		number, err = strconv.ParseInt(n.Value, 10, 32)
		into.SetInt(number)
	case reflect.Uint64:
		var number uint64
		number, err = strconv.ParseUint(n.Value, 10, 64)
		into.SetUint(number)
	default:
		var number float64
		number, err = strconv.ParseFloat(n.Value, 64)
		into.SetFloat(number)
	}
	return err
}

type field struct {
	name  string
	index int
}

// fieldsOf returns the fields that a file may have.
func fieldsOf(t reflect.Type) (fields []field) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields = append(fields, field{name, i})
		}
	}
	return fields
}

func namesOf(fields []field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

// formOf is what a value of a type must be, in words.
func formOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return durationForm
	case reflect.TypeFor[Share]():
		return "a share such as 0.95 or 95%"
	case reflect.TypeFor[Count]():
		return fmt.Sprintf("a whole number from 0 to %d", maxCount)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return formOf(t.Elem())
	case reflect.Struct:
		return "an object with " + namesOf(fieldsOf(t))
	case reflect.Map:
		return "an object, by name"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Uint64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a string"
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }
