package environ

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/wants"
)

var row = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|")

// table returns the variables of a document's table.
func table(t *testing.T, path string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	_, marked, _ := strings.Cut(string(text), "<!-- config -->")
	for _, match := range row.FindAllStringSubmatch(marked, -1) {
		names = append(names, match[1])
	}
	return names
}

// TestTables holds the variables to the documentation, which tests of the services hold to their code.
func TestTables(t *testing.T) {
	services, err := filepath.Glob("../../services/*/go.mod")
	require.NoError(t, err)
	assert.Len(t, services, len(programs), "programs")
	for name, program := range programs {
		assert.Equal(t, table(t, "../../services/"+name+"/README.md"), program.own, name)
	}
	shared := slices.Concat([]string{"ADMIN_ADDR"}, receives, calls)
	assert.Equal(t, table(t, "../../docs/configuration.md"), shared, "shared")
}

func TestCheck(t *testing.T) {
	const readme = ", see docs/configuration.md and the README of the service"
	for _, test := range []struct {
		variable   string
		set        []string
		programs   []string
		note, want string
	}{
		{"RETRY_ATTEMPTS", nil, []string{"staff-service"}, "", ""},
		{"GOMEMLIMIT", nil, []string{"staff-service"}, "", ""},
		{"OTEL_SDK_DISABLED", nil, []string{"staff-service"}, "", ""},
		{"HTTPS_PROXY", nil, []string{"staff-service"}, "", ""},
		{"no_proxy", nil, []string{"staff-service"}, "", ""},
		{"RETRY_ATEMPTS", nil, []string{"staff-service"}, "", `"RETRY_ATEMPTS": must be a variable of staff-service: did you mean RETRY_ATTEMPTS?`},
		{"retry_attempts", nil, []string{"staff-service"}, "", `"retry_attempts": must be a variable of staff-service: did you mean RETRY_ATTEMPTS?`},
		{"RETRY_ATEMPTS", []string{"RETRY_ATEMPTS"}, []string{"staff-service"}, "", ""},
		{"SOMETHING", nil, []string{"staff-service"}, "", `"SOMETHING": must be a variable of staff-service` + readme},
		{"RETRY_ATTEMPTS", nil, []string{"vehicle-telemetry"}, "", `"RETRY_ATTEMPTS": must be a variable of vehicle-telemetry` + readme},
		{"RETRY_ATTEMPTS", nil, []string{"vehicle-telemetry", "webapp"}, "", ""},
		{"FLEET_SIZ", nil, []string{"position-simulator", "webapp"}, "", `"FLEET_SIZ": must be a variable of a service: did you mean FLEET_SIZE?`},
		{"FLEET_SIZ", nil, []string{"position-simulator", "mine"}, `"FLEET_SIZ": is not in the manifests, and the variables of the program are not known: did you mean FLEET_SIZE?`, ""},
		{"COLOUR", []string{"SIZE"}, []string{"mine"}, `"COLOUR": is not in the manifests, and the variables of the program are not known`, ""},
		{"SIZE", []string{"SIZE"}, []string{"mine"}, "", ""},
	} {
		note, err := Check(test.variable, test.set, test.programs...)
		wants.Error(t, test.variable, err, test.want)
		assert.Equal(t, test.note, note, test.variable)
	}
}

func TestProgram(t *testing.T) {
	for image, want := range map[string]string{
		"fleetman/staff-service:6": "staff-service", "richardchesterwood/istio-fleetman-webapp-angular:6-experimental": "webapp",
		"registry.example/fleetman/webapp@sha256:0": "webapp", "registry.example/webapp": "", "fleetman/mine": "",
	} {
		assert.Equal(t, want, Program(image), image)
	}
}
