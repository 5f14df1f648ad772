package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/scenario"
	"fleetman.example/lab/wants"
)

// each calls f with every command that the help shows.
func each(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		each(c, f)
	}
}

// TestHelp holds every command to the same form.
func TestHelp(t *testing.T) {
	each(newCommand(nil, io.Discard, io.Discard), func(cmd *cobra.Command) {
		var help bytes.Buffer
		cmd.SetOut(&help)
		require.NoError(t, cmd.Help(), cmd.CommandPath())
		assert.Contains(t, help.String(), "\nExamples:\n  ", cmd.CommandPath())
		assert.Contains(t, cmd.Example, "fleetman", cmd.CommandPath())
		assert.Regexp(t, `[^.]$`, cmd.Short, cmd.CommandPath())
		if cmd.Parent() != nil && !cmd.Parent().HasParent() {
			assert.NotEmpty(t, cmd.GroupID, cmd.CommandPath())
		}
		if cmd.Name() != "compare" {
			assert.NotRegexp(t, `.{101}`, cmd.Long+"\n"+cmd.Example, "%s: a line of more than 100 characters", cmd.CommandPath())
		}
		if flag := cmd.Flags().Lookup("output"); flag != nil {
			assert.Equal(t, "o table", flag.Shorthand+" "+flag.DefValue, cmd.CommandPath())
		}
	})
	shows(t, []string{"fleetman [command]", "Fleet:\n", "Setup:\n", "\n  130  interrupted"})
}

// TestReadme holds the table of commands to the code.
func TestReadme(t *testing.T) {
	text := read(t, "../../README.md")
	each(newCommand(nil, io.Discard, io.Discard), func(cmd *cobra.Command) {
		if cmd.HasSubCommands() && cmd.Name() != "fault" || cmd.Name() == "help" || cmd.Parent().Name() == "completion" {
			return
		}
		assert.Contains(t, text, "\n| `"+cmd.CommandPath(), "a row of lab/README.md")
	})
}

// TestReadmeApplies holds the README's first mesh to what apply can change: Istio's objects alone.
func TestReadmeApplies(t *testing.T) {
	text := read(t, "../../../README.md")
	pods := func(command string) (objects []string) {
		match := regexp.MustCompile(`\n\$ ` + command + ` ([a-z-]+)`).FindStringSubmatch(text)
		require.NotNil(t, match, command)
		loaded, err := manifest.Load("../../../k8s/scenarios/" + match[1])
		require.NoError(t, err)
		for _, o := range loaded.All {
			if o.Typed != nil {
				objects = append(objects, o.Ref()+" "+string(o.JSON))
			}
		}
		slices.Sort(objects)
		return objects
	}
	up := pods("fleetman up --mesh")
	require.NotEmpty(t, up)
	assert.Equal(t, up, pods("fleetman apply"), "README.md: fleetman apply: must be a scenario with the pods and Services of the one that runs")
}

// TestReadmeRunsOneFleet checks that no command of the README starts a fleet on this machine while another runs.
func TestReadmeRunsOneFleet(t *testing.T) {
	text := read(t, "../../../README.md")
	running, starts := "", 0
	for _, match := range regexp.MustCompile(`(?m)^\$ (make run|fleetman (?:up|down|check)\b).*`).FindAllStringSubmatch(text, -1) {
		if strings.Contains(match[0], " --context ") { // on a cluster
			continue
		}
		if match[1] == "fleetman down" {
			running = ""
			continue
		}
		starts++
		assert.Empty(t, running, "%s: must be after fleetman down", match[0])
		if match[1] != "fleetman check" {
			running = match[0]
		}
	}
	assert.Equal(t, 4, starts, "fleets that the README starts")
}

func TestComplete(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string // among the lines
	}{
		{[]string{"up", "--mesh", "canary-w"}, "canary-weighted\tA canary release by weight"},
		{[]string{"apply", "resilience/m"}, "resilience/mesh\tArm mesh: the same policies in the proxies"},
		{[]string{"check", ""}, "plain\tThe fleet without a mesh"},
		{[]string{"up", "--replicas", "staff"}, "staff-service="},
		{[]string{"up", "--set", "staff"}, "staff-service:"},
		{[]string{"pods", "-o", ""}, "yaml"},
		{[]string{"kill", "--signal", ""}, "KILL"},
		{[]string{"fault", "staff-service", ""}, "status="},
		{[]string{"binaries", "i"}, "istioctl"},
		{[]string{"env", "--shell", ""}, "fish"},
		{[]string{"compare", "comp"}, "comparison\tWhat do users see"},
		{[]string{"compare", "comparison", "--arms", "none,l"}, "none,library\tthe chain of kit/upstream, with the numbers that the mesh has too"},
		{[]string{"compare", "comparison", "--faults", "all"}, "all-bad\t"},
		{[]string{"compare", "--target", ""}, "page"},
		{[]string{"sta"}, "status\tShow the running fleet on one screen"},
		{[]string{"logs", ""}, "all\tevery pod"},
	} {
		args := append([]string{"__complete", "--state", filepath.Join(t.TempDir(), "none")}, test.args...)
		code, stdout, stderr := fleetman(t, args...)
		assert.Equal(t, 0, code, "%q: %s", test.args, stderr)
		assert.Contains(t, "\n"+stdout, "\n"+test.want, "%q", test.args)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		shows(t, []string{"fleetman"}, "completion", shell)
	}
	names, _ := completeList([]string{"a\tA", "b"})(nil, nil, "a,")
	assert.Equal(t, []string{"a,b"}, names, "after a,")
}

// TestScenarios: every directory of a scenario is listed, and found by name.
func TestScenarios(t *testing.T) {
	single, err := filepath.Glob("../../../k8s/scenarios/*/expect.yaml")
	require.NoError(t, err)
	arms, err := filepath.Glob("../../../k8s/scenarios/*/*/expect.yaml")
	require.NoError(t, err)
	lines := 1 + len(single) + len(arms)
	code, stdout, stderr := fleetman(t, "scenarios")
	assert.Equal(t, 0, code)
	assert.Empty(t, stderr)
	assert.Regexp(t, "^STEP  SCENARIO ", stdout)
	assert.Equal(t, lines, strings.Count(stdout, "\n"), "lines")
	where := places{environ: []string{}}
	require.NoError(t, where.find())
	all, err := scenario.List(where.scenarios())
	require.NoError(t, err)
	for _, s := range all {
		assert.NotEmpty(t, s.Title, s.Name)
		assert.Contains(t, stdout, s.Name+" ")
		paths, err := where.manifests([]string{s.Name})
		require.NoError(t, err)
		assert.Equal(t, []string{s.Dir}, paths)
	}
	for _, bad := range []string{"", "../base", "resilience", "/plain"} {
		_, err := where.manifests([]string{bad})
		wants.Error(t, bad, err, quoted(bad)+": must be a file, a directory or a scenario…")
	}
}

func TestVersion(t *testing.T) {
	shows(t, []string{`"istio": "v`, `"envoy": "1.`, `"commands": "all"`}, "version", "-o", "json")
	expect(t, 0, "fleetman development, commit …\n", "", "--version")
	for _, test := range []struct {
		v    versions
		want string
	}{
		{versions{Version: "1.0.0", Commit: "abc"}, "1.0.0, commit abc"},
		{versions{Version: "1.0.0", Commit: "abc", Modified: true}, "1.0.0, commit abc (modified)"},
		{versions{Version: "1.0.0"}, "1.0.0, commit not recorded"},
	} {
		assert.Equal(t, test.want, test.v.String())
	}
}

func TestEnv(t *testing.T) {
	program := write(t, "an istioctl", "#!/bin/sh\n")
	t.Setenv("ISTIOCTL", program)
	t.Setenv("SHELL", "/usr/bin/fish")
	state := filepath.Join(t.TempDir(), "it's here")
	bin := filepath.Join(state, "bin")
	quoted := strings.ReplaceAll(state, "'", `'\''`)
	for _, test := range []struct {
		shell, path, want string
	}{
		{"sh", "/bin", "export KUBECONFIG='" + quoted + "/mesh/kubeconfig'\nexport PATH='" + quoted + "/bin':\"$PATH\"\n"},
		{"sh", bin + ":/bin", "export KUBECONFIG='" + quoted + "/mesh/kubeconfig'\n"},
		{"", "/bin", "set -gx KUBECONFIG '" + strings.ReplaceAll(state, "'", `\'`) + "/mesh/kubeconfig'\nset -gx PATH '" + strings.ReplaceAll(bin, "'", `\'`) + "' $PATH\n"},
	} {
		t.Setenv("PATH", test.path)
		expect(t, 0, test.want, "", "env", "--state", state, "--shell", test.shell)
	}
	target, err := os.Readlink(filepath.Join(bin, "istioctl"))
	require.NoError(t, err)
	assert.Equal(t, program, target)
	t.Setenv("ISTIOCTL", "/nowhere")
	expect(t, 0, "export KUBECONFIG=…\n", "fleetman: istioctl is not put on the PATH: ISTIOCTL…\n", "env", "--state", state, "--shell", "sh")
}

// TestOutsideOfTheRepository: one clear error, unless the repository is named.
func TestOutsideOfTheRepository(t *testing.T) {
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	t.Setenv(rootVariable, "")
	const none = "no repository here: start fleetman inside a clone, or name it with --root or FLEETMAN_ROOT"
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"up"}, exitUsage, none + ", or name a directory or files"},
		{[]string{"check"}, exitUsage, none + ", or name the directory of a scenario"},
		{[]string{"scenarios"}, exitUsage, none},
		{[]string{"bench", "--quick"}, exitUsage, none},
		{[]string{"pods"}, exitUsage, none + ", or the fleet's directory with --state"},
		{[]string{"down"}, exitUsage, none + ", or the fleet's directory with --state"},
		{[]string{"up", "plain"}, exitUsage, "plain: must be a file or a directory; for a scenario's name, start fleetman inside the repository"},
	} {
		expect(t, test.code, "", "fleetman: "+test.want+"\n", test.args...)
	}
	shows(t, []string{"istio     -\n"}, "version")
	shows(t, []string{"STEP  SCENARIO "}, "scenarios", "--root", root)
	expect(t, exitUsage, "", "fleetman: no EXPERIMENT: must be a file, or --arm and --fault; for an experiment's name, start fleetman inside the repository or set FLEETMAN_ROOT\n", "compare")
	t.Setenv(rootVariable, root)
	shows(t, []string{"STEP  SCENARIO "}, "scenarios")
	t.Setenv(rootVariable, "/nowhere")
	expect(t, exitUsage, "", "fleetman: FLEETMAN_ROOT=/nowhere: must be a clone of the repository, with go.work and k8s/base\n", "scenarios")
}

// TestColours: only on a terminal, and never with NO_COLOR.
func TestColours(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo-terminal: ", err)
	}
	defer terminal.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	defer file.Close()
	for _, test := range []struct {
		name    string
		w       io.Writer
		environ []string
		want    bool
	}{
		{"a terminal", terminal, []string{"TERM=xterm"}, true},
		{"an empty NO_COLOR", terminal, []string{"NO_COLOR="}, true},
		{"NO_COLOR", terminal, []string{"NO_COLOR=1"}, false},
		{"a dumb terminal", terminal, []string{"TERM=dumb"}, false},
		{"a file", file, nil, false},
		{"no file", io.Discard, nil, false},
	} {
		assert.Equal(t, test.want, coloured(test.w, test.environ), test.name)
	}
	var text bytes.Buffer
	p := printer{w: &text, colour: true}
	p.table([]string{"POD", "READY"}, []row{{cells: []string{"a-long-name", "yes"}}, {[]string{"b", "no"}, red}})
	assert.Equal(t, "\x1b[1mPOD          READY\x1b[0m\na-long-name  yes\n\x1b[31mb            no\x1b[0m\n", text.String())
}
