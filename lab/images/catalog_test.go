package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

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
		if _, tag, _ := strings.Cut(i.name, ":"); i.version != tag || !strings.Contains(i.name, i.service) {
			t.Errorf("%s: version %s, service %s", i.name, i.version, i.service)
		}
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
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestNamesOfArm64: the published manifests for arm64 name their images by tags of their own.
func TestNamesOfArm64(t *testing.T) {
	var got []string
	for _, i := range published([]string{"staff-service"}, "", "6", "linux/arm64") {
		_, tag, _ := strings.Cut(i.name, ":")
		got = append(got, tag+" "+i.args["VARIANT"])
	}
	for _, want := range []string{"6 ", "6-arm64 ", "6-placeholder placeholder", "6-placeholder-arm64 placeholder"} {
		if !slices.Contains(got, want) {
			t.Errorf("tags %q, want %q among them", got, want)
		}
	}
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
			if !regexp.MustCompile(`:\d+\.\d+\.\d+-`).MatchString(base[1]) {
				t.Errorf("%s builds on %s, which is another image every month", name, base[1])
			}
		}
		_, after, found := strings.Cut(string(text), "# Pinned to the patch version, so")
		if !found {
			t.Fatalf("%s: another beginning", name)
		}
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
		if got := common(name); got != want {
			t.Errorf("%s differs from %s:\n%s\nand\n%s", name, names[0], got, want)
		}
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
		if code := run(t.Context(), strings.Fields(tc.args), noDocker, &stdout, &stderr); code != 1 || !strings.HasPrefix(stderr.String(), tc.want) || stdout.String() != "" {
			t.Errorf("%s: got %d %s%s, want 1 %s", tc.args, code, &stdout, &stderr, tc.want)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr strings.Builder
	if code := run(ctx, []string{"-root", repository}, func(string) string { return "" }, &stdout, &stderr); code != 130 || stderr.String() != "images: interrupted\n" {
		t.Errorf("got %d %s, want 130", code, &stderr)
	}
}
