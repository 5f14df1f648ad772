package lint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// saidByRules are the codes of istioctl analyze whose mistakes rules find too,
// with what happens: they are shown once.
var saidByRules = map[string]struct {
	rule int
	text string // that the message contains
}{
	"IST0106": {5, "http retry policy configured when attempts are set to 0"},
	"IST0109": {23, ""},
	"IST0145": {23, ""},
}

// message is one message of istioctl analyze.
type message struct{ Code, Level, Message, Origin, Reference string }

// Analyze adds what istioctl analyze finds in the same objects to the findings of
// Check, as its own.
func (m *Manifests) Analyze(ctx context.Context, istioctl string, found []Finding) ([]Finding, error) {
	dir, err := os.MkdirTemp("", "fleetman-lint-")
	if err != nil {
		return nil, fmt.Errorf("istioctl analyze: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "manifests.yaml")
	starts, err := m.write(file)
	if err != nil {
		return nil, fmt.Errorf("istioctl analyze: %w", err)
	}
	cmd := exec.CommandContext(ctx, istioctl, "analyze", "--use-kube=false", "--all-namespaces", "--output", "json", "--output-threshold", "Warning", file)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(dir, "none"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // it exits with an error when it finds one
		return nil, fmt.Errorf("istioctl analyze: %w", err)
	}
	var messages []message
	if err := json.Unmarshal(output, &messages); err != nil {
		return nil, fmt.Errorf("istioctl analyze: %s", strings.Join(strings.Fields(stderr.String()), " "))
	}
	for _, said := range messages {
		if f, ok := m.finding(said, starts); ok && !isSaid(found, said, f) {
			found = append(found, f)
		}
	}
	sortFindings(found)
	return found, nil
}

// write writes all objects to a file, and returns the first line of each. Each has its namespace, also the
// default one: istioctl analyze takes exportTo: ["."] of an object without one for a mistake.
func (m *Manifests) write(file string) (starts []int, err error) {
	var text bytes.Buffer
	for _, object := range m.Objects.All {
		one := unstructured.Unstructured{Object: newObject(object).fields}
		if object.Namespace != "" {
			one.SetNamespace(object.Namespace)
		}
		starts = append(starts, 2+bytes.Count(text.Bytes(), []byte("\n"))) // after the separator
		text.WriteString(asYAML(one.Object))
	}
	return starts, os.WriteFile(file, text.Bytes(), 0o600)
}

// finding returns a message as a finding, at the object that it is about.
func (m *Manifests) finding(said message, starts []int) (f Finding, ok bool) {
	line, err := strconv.Atoi(said.Reference[strings.LastIndexByte(said.Reference, ':')+1:])
	i, exact := slices.BinarySearch(starts, line)
	if !exact {
		i--
	}
	if err != nil || i < 0 {
		return f, false
	}
	severity := Warning
	if said.Level == "Error" {
		severity = Error
	}
	o := newObject(m.Objects.All[i])
	where := m.sources.locate(value{object: o, any: o.fields})
	f = Finding{File: where.file, Line: where.line, Rule: said.Code, Name: "istioctl-analyze", Severity: severity, Object: o.Ref(), Message: said.Message, By: "istioctl analyze"}
	f.Ignored = intended(m.sources.marks(), f)
	return f, true
}

// isSaid reports whether a rule found the same in the same object.
func isSaid(found []Finding, said message, f Finding) bool {
	by, known := saidByRules[said.Code]
	return known && strings.Contains(said.Message, by.text) && slices.ContainsFunc(found, func(other Finding) bool {
		return other.Rule == strconv.Itoa(by.rule) && (other.Object == f.Object || strings.Contains(other.Message, f.Object))
	})
}
