package mesh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/manifest"
)

// isIstio reports whether an object belongs to one of Istio's APIs.
func isIstio(object manifest.Object) bool {
	group, _, _ := strings.Cut(object.APIVersion, "/")
	return strings.HasSuffix(group, ".istio.io")
}

// Validate checks Istio's objects with istioctl, which, unlike istiod, refuses unknown fields. The error
// is one line with the file, the object and the field.
func Validate(ctx context.Context, istioctl string, objects *manifest.Objects) error {
	var all []manifest.Object
	for _, object := range objects.All {
		if isIstio(object) {
			all = append(all, object)
		}
	}
	why, err := refusal(ctx, istioctl, all)
	if err != nil || why == "" {
		return err
	}
	for _, object := range all { // istioctl's output has no file names
		alone, err := refusal(ctx, istioctl, []manifest.Object{object})
		if err != nil {
			return err
		}
		if alone != "" {
			return fmt.Errorf("%s: %s: refused by Istio: %s", object.Source, object.Ref(), alone)
		}
	}
	return fmt.Errorf("refused by Istio: %s", why)
}

// refusal returns the output of istioctl validate about objects that it refuses, in one line. It
// returns "" when all are valid.
func refusal(ctx context.Context, istioctl string, objects []manifest.Object) (string, error) {
	if len(objects) == 0 {
		return "", nil
	}
	var documents, output bytes.Buffer
	for _, object := range objects {
		fmt.Fprintf(&documents, "---\n%s\n", object.JSON)
	}
	cmd := exec.CommandContext(ctx, istioctl, "validate", "-f", "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &documents, &output, &output
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("validate Istio's objects: %w", ctx.Err())
	case errors.As(err, &exit):
		return strings.Join(strings.Fields(output.String()), " "), nil
	}
	return "", fmt.Errorf("validate Istio's objects: %w", err)
}

// analyzeTimeout is how long istioctl analyze may take; it usually takes 0.1 s.
const analyzeTimeout = 30 * time.Second

// analyze returns the warnings of istioctl analyze about the manifests' objects.
// It checks all objects together: a valid one may refer to a gateway that does
// not exist, or select nothing. Warnings refuse nothing: a cluster accepts such
// objects, what they refer to may be created later, and analyzers may be wrong.
func (m *Mesh) analyze(ctx context.Context, objects *manifest.Objects) []string {
	program := m.options.Binaries.Istioctl.Path
	if program == "" || !slices.ContainsFunc(objects.All, isIstio) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, analyzeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "analyze", "--all-namespaces", "--kubeconfig", Kubeconfig(m.site.State), "--output", "json", "--output-threshold", "Warning")
	cmd.Dir = m.dir()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // it exits with an error when it finds one
		return []string{fmt.Sprintf("istioctl analyze: %v", err)}
	}
	notes, err := findings(output, objects)
	if err != nil {
		return []string{fmt.Sprintf("istioctl analyze: %v: %s", err, strings.Join(strings.Fields(stderr.String()), " "))}
	}
	return notes
}

// awaitAnalyzed is awaitApplied, and also returns the warnings of istioctl analyze, which runs meanwhile.
func (m *Mesh) awaitAnalyzed(ctx context.Context, objects *manifest.Objects, failures int) (warnings []string, err error) {
	var analyzing sync.WaitGroup
	analyzing.Go(func() { warnings = m.analyze(ctx, objects) })
	err = m.awaitApplied(ctx, failures)
	analyzing.Wait() // before the old objects may be restored
	return warnings, err
}

// findings returns one line for each message of istioctl analyze about an object
// of the manifests.
func findings(output []byte, objects *manifest.Objects) ([]string, error) {
	var messages []struct {
		Code, Level, Message, Origin string
	}
	if err := json.Unmarshal(output, &messages); err != nil {
		return nil, fmt.Errorf("read its output: %w", err)
	}
	refs := map[string]string{} // by istioctl's name of an object
	for _, o := range objects.All {
		namespace := o.Namespace
		if namespace != "" {
			namespace += "/"
		}
		refs[o.Kind+" "+namespace+o.Name] = o.Ref()
	}
	var notes []string
	for _, message := range messages {
		ref, ours := refs[message.Origin]
		if message.Code == twoSidecars && others(message.Message, objects) == 0 {
			continue // the other one is generated from it
		}
		line := fmt.Sprintf("%s: %s: %s (istioctl analyze, %s)", ref, strings.ToLower(message.Level), message.Message, message.Code)
		if ours && !slices.Contains(notes, line) {
			notes = append(notes, line)
		}
	}
	return notes, nil
}

// twoSidecars is the code of the message that two Sidecars select the same pod:
// "The Sidecars [A B] in namespace ...".
const twoSidecars = "IST0110"

// others returns the number of the manifests' Sidecars in such a message, less one.
func others(message string, objects *manifest.Objects) int {
	_, list, _ := strings.Cut(message, "[")
	list, _, _ = strings.Cut(list, "]")
	count := -1
	for name := range strings.FieldsSeq(list) {
		if slices.ContainsFunc(objects.All, func(o manifest.Object) bool { return o.Kind == "Sidecar" && o.Name == name }) {
			count++
		}
	}
	return max(count, 0)
}

// Notes returns the notes that were shown so far, sorted: a line for each object
// or field that changes no proxy, is not applied, or has a warning of istioctl
// analyze.
func (m *Mesh) Notes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.notes))
}

// progressOnce prints the notes that were not printed before.
func (m *Mesh) progressOnce(notes []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progressOnceLocked(notes)
}

func (m *Mesh) progressOnceLocked(notes []string) {
	for _, note := range notes {
		if !m.notes[note] {
			m.notes[note] = true
			m.site.Progress(note)
		}
	}
}
