package mesh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"fleetman.example/lab/manifest"
)

// isIstio tells Istio's objects from a cluster's own.
func isIstio(object manifest.Object) bool {
	group, _, _ := strings.Cut(object.APIVersion, "/")
	return strings.HasSuffix(group, ".istio.io")
}

// validate lets Istio say what it thinks of its objects, strictly: istiod
// itself lets unknown fields pass. The error is one line.
func validate(ctx context.Context, istioctl string, objects *manifest.Objects) error {
	var documents bytes.Buffer
	for _, object := range objects.All {
		if isIstio(object) {
			fmt.Fprintf(&documents, "---\n%s\n", object.JSON)
		}
	}
	if documents.Len() == 0 {
		return nil
	}
	cmd := exec.CommandContext(ctx, istioctl, "validate", "-f", "-")
	cmd.Stdin = &documents
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("validating Istio's objects: %w", ctx.Err())
	case errors.As(err, &exit):
		return fmt.Errorf("refused by Istio: %s", strings.Join(strings.Fields(output.String()), " "))
	}
	return fmt.Errorf("validating Istio's objects: %w", err)
}

// analyzeTimeout bounds istioctl analyze, which takes a tenth of a second.
const analyzeTimeout = 10 * time.Second

// analyze lets Istio look at all objects together, as the API has them: what is
// valid by itself may still lead nowhere, such as a gateway that there is not or
// a selector that matches nothing. The lines are about the manifests' own
// objects. They refuse nothing: a cluster takes such objects too, what they
// refer to may come later, and analyzers may err.
func (m *Mesh) analyze(ctx context.Context, objects *manifest.Objects) []string {
	program := m.options.Parts.Istioctl.Path
	if program == "" || !slices.ContainsFunc(objects.All, isIstio) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, analyzeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "analyze", "--all-namespaces", "--kubeconfig", m.istiod.kubeconfig(), "--output", "json", "--output-threshold", "Warning")
	cmd.Dir = m.dir()
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	output, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // it exits with an error when it finds one
		return []string{fmt.Sprintf("istioctl analyze: %v", err)}
	}
	notes, err := findings(output, objects)
	if err != nil {
		return []string{fmt.Sprintf("istioctl analyze: %v: %s", err, strings.Join(strings.Fields(complaints.String()), " "))}
	}
	return notes
}

// findings are the lines of istioctl analyze about the manifests' objects.
func findings(output []byte, objects *manifest.Objects) ([]string, error) {
	var messages []struct {
		Code, Level, Message, Origin string
	}
	if err := json.Unmarshal(output, &messages); err != nil {
		return nil, fmt.Errorf("reading what it says: %w", err)
	}
	refs := map[string]string{} // by what istioctl calls an object
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
			continue // it is beside our own, which says what it says
		}
		line := fmt.Sprintf("%s: %s: %s (istioctl analyze, %s)", ref, strings.ToLower(message.Level), message.Message, message.Code)
		if ours && !slices.Contains(notes, line) {
			notes = append(notes, line)
		}
	}
	return notes, nil
}

// twoSidecars is the code of a message that two Sidecars select one pod: The
// Sidecars [A B] in namespace ....
const twoSidecars = "IST0110"

// others is how many of the Sidecars in such a message are the manifests', one
// aside.
func others(message string, objects *manifest.Objects) int {
	_, list, _ := strings.Cut(message, "[")
	list, _, _ = strings.Cut(list, "]")
	count := -1
	for _, name := range strings.Fields(list) {
		if slices.ContainsFunc(objects.All, func(o manifest.Object) bool { return o.Kind == "Sidecar" && o.Name == name }) {
			count++
		}
	}
	return max(count, 0)
}

// tell shows every line once.
func (m *Mesh) tell(notes []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tellLocked(notes)
}

func (m *Mesh) tellLocked(notes []string) {
	for _, note := range notes {
		if !m.notes[note] {
			m.notes[note] = true
			m.site.Progress(note)
		}
	}
}
