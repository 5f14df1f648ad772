package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const repository = "../.."

// The tags of the contract's table of variants, and nothing else.
func TestNames(t *testing.T) {
	names, err := services(repository)
	require.NoError(t, err)
	var got []string
	for _, i := range append(own(names, "", "6"), published(names, "r.example/", "6", "linux/amd64")...) {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", i.name, i.args["VARIANT"], i.args["PROPAGATE_HEADERS"])))
		assert.Regexp(t, i.service+".*:"+i.version+"$", i.name)
	}
	const istio = "r.example/richardchesterwood/istio-fleetman-"
	want := []string{
		"fleetman/api-gateway:6", "fleetman/position-simulator:6", "fleetman/position-tracker:6",
		"fleetman/staff-service:6", "fleetman/vehicle-telemetry:6", "fleetman/webapp:6",
		istio + "api-gateway:6", istio + "api-gateway:6-no-header-propagation  false",
		istio + "position-simulator:6", istio + "position-simulator:6-no-header-propagation  false",
		istio + "position-tracker:6", istio + "position-tracker:6-no-header-propagation  false",
		istio + "staff-service:6", istio + "staff-service:6-bad bad", istio + "staff-service:6-fail-fast fail-fast",
		istio + "staff-service:6-no-header-propagation  false", istio + "staff-service:6-placeholder placeholder",
		istio + "vehicle-telemetry:6", istio + "vehicle-telemetry:6-no-header-propagation  false",
		istio + "webapp-angular:6", istio + "webapp-angular:6-experimental experimental", istio + "webapp-angular:6-no-header-propagation  false",
	}
	assert.Equal(t, want, got)
}

// TestNamesOfArm64: the published manifests for arm64 name their images by tags of their own.
func TestNamesOfArm64(t *testing.T) {
	var got []string
	for _, i := range published([]string{"staff-service"}, "", "6", "linux/arm64") {
		_, tag, _ := strings.Cut(i.name, ":")
		got = append(got, tag+" "+i.args["VARIANT"])
	}
	assert.Subset(t, got, []string{"6 ", "6-arm64 ", "6-placeholder placeholder", "6-placeholder-arm64 placeholder"})
}

// Six files say the same of six services; what differs is the port, the webapp's page, and the
// variants that two of them have.
func TestDockerfilesAreOne(t *testing.T) {
	names, err := services(repository)
	require.NoError(t, err)
	common := func(name string) string {
		text, err := os.ReadFile(filepath.Join(repository, "services", name, "Dockerfile"))
		require.NoError(t, err)
		for _, base := range from.FindAllStringSubmatch(string(text), -1) {
			assert.Regexp(t, `:\d+\.\d+\.\d+-`, base[1], "%s builds on another image every month", name)
		}
		_, after, found := strings.Cut(string(text), "# Pinned to the patch version, so")
		require.True(t, found, "%s: another beginning", name)
		var lines []string
		for line := range strings.Lines(strings.ReplaceAll(after, name, "NAME")) {
			if !strings.Contains(line, "VARIANT") && !strings.HasPrefix(line, "EXPOSE ") && !strings.HasPrefix(line, "COPY --from=page ") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	want := common(names[0])
	for _, name := range names[1:] {
		assert.Equal(t, want, common(name), "%s and %s", names[0], name)
	}
}

func TestBadCommandLines(t *testing.T) {
	empty := t.TempDir()
	for _, tc := range []struct {
		args string
		want string
	}{
		{"-root " + empty, "images: -root: " + empty + ": must have services/*/Dockerfile\n"},
		{"-root " + repository + " -services staff", "images: -services: staff: must be the name of a service\n"},
		{"-root " + repository + " webapp", `images: arguments: ["webapp"]: must be none` + "\n"},
		{"-root " + repository, "images: no Docker engine (Debian: apt-get install docker.io, then start dockerd): "},
	} {
		var stdout, stderr strings.Builder
		noDocker := func(string) string { return "/nonexistent/docker" }
		assert.Equal(t, 1, run(t.Context(), strings.Fields(tc.args), noDocker, &stdout, &stderr), tc.args)
		assert.Empty(t, stdout.String(), tc.args)
		assert.Regexp(t, "^"+regexp.QuoteMeta(tc.want), stderr.String(), tc.args)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr strings.Builder
	assert.Equal(t, 130, run(ctx, []string{"-root", repository}, func(string) string { return "" }, &stdout, &stderr))
	assert.Equal(t, "images: interrupted\n", stderr.String())
}
