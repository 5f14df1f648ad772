package mesh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

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
