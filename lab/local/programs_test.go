package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/local/fakes"
	"fleetman.example/lab/wants"
)

var sixPrograms = programs(fakes.Programs)

func TestProgram(t *testing.T) {
	for image, want := range map[string]string{
		"fleetman/staff-service":                                                         "staff-service",
		"fleetman/staff-service:6":                                                       "staff-service",
		"fleetman/staff-service:6-bad":                                                   "staff-service VARIANT=bad",
		"fleetman/staff-service:6-fail-fast":                                             "staff-service VARIANT=fail-fast",
		"fleetman/staff-service:1.2.0-rc.1":                                              "staff-service",
		"fleetman/staff-service@sha256:0123":                                             "staff-service",
		"localhost:5000/fleetman/webapp:6-experimental":                                  "webapp VARIANT=experimental",
		"richardchesterwood/istio-fleetman-staff-service:6-placeholder":                  "staff-service VARIANT=placeholder",
		"richardchesterwood/istio-fleetman-webapp-angular:6":                             "webapp",
		"richardchesterwood/istio-fleetman-webapp-angular:6-experimental":                "webapp VARIANT=experimental",
		"richardchesterwood/istio-fleetman-api-gateway:6-no-header-propagation":          "api-gateway PROPAGATE_HEADERS=false",
		"richardchesterwood/istio-fleetman-staff-service:6-placeholder-arm64":            "staff-service VARIANT=placeholder",
		"richardchesterwood/istio-fleetman-api-gateway:5-arm64":                          "api-gateway",
		"richardchesterwood/istio-fleetman-position-tracker:6-amd64":                     "position-tracker",
		"richardchesterwood/istio-fleetman-webapp-angular:6-no-header-propagation-arm64": "webapp PROPAGATE_HEADERS=false",
		"docker.io/richardchesterwood/istio-fleetman-position-simulator:6":               "position-simulator",
	} {
		name, env, err := sixPrograms.program(image)
		require.NoError(t, err, image)
		assert.Equal(t, want, strings.TrimSpace(name+" "+env), image)
	}
}

func TestProgramUnknown(t *testing.T) {
	const known = "must be fleetman/NAME or richardchesterwood/istio-fleetman-NAME, NAME one of api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp"
	for image, want := range map[string]string{
		"nginx:1.27":              known,
		"fleetman/staff":          known,
		"":                        known,
		"fleetman/":               known,
		"other/staff-service:6":   known,
		"fleetman/webapp-angular": known,
		"richardchesterwood/istio-fleetman-photo-service:5-arm64": `"richardchesterwood/istio-fleetman-photo-service:5-arm64": no program photo-service here`,
		"other/istio-fleetman-photo-service:5":                    known,
		"fleetman/webapp:6-bad":                                   `variant "bad" of webapp: must be one of experimental, no-header-propagation`,
		"fleetman/staff-service:6-baad":                           `variant "baad" of staff-service: must be one of bad, fail-fast, no-header-propagation, placeholder`,
	} {
		_, _, err := sixPrograms.program(image)
		wants.Error(t, image, err, "…"+want)
	}
}

func TestFindPrograms(t *testing.T) {
	root, bin := filepath.Join(t.TempDir(), "a [clone]"), t.TempDir()
	require.NoError(t, os.CopyFS(root, fstest.MapFS{"services/a/go.mod": {}, "services/b/README.md": {}}))
	require.NoError(t, os.CopyFS(bin, fstest.MapFS{"c": {Mode: 0o755}, "notes.txt": {}}))
	require.NoError(t, os.Symlink("c", filepath.Join(bin, "linked")))
	for _, test := range []struct {
		root, bin string
		want      programs
	}{{root, bin, programs{"a"}}, {"", bin, programs{"c", "linked"}}} {
		found, err := findPrograms(test.root, test.bin)
		require.NoError(t, err)
		assert.Equal(t, test.want, found)
	}
	for _, places := range [][2]string{{"", ""}, {t.TempDir(), ""}, {"", t.TempDir()}, {"", "/nowhere"}} {
		_, err := findPrograms(places[0], places[1])
		assert.Error(t, err, "%q", places)
	}
}
