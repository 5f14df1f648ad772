package bare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/process"
	"fleetman.example/lab/tcp"
)

// maxBytes bounds a configuration.
const maxBytes = 4 << 20

// Read reads the configuration at a path, as Migrate returns it: a file, or the only one in a directory.
func Read(path string) (config []byte, notes []string, err error) {
	if path, err = find(path); err != nil {
		return nil, nil, err
	}
	text, err := manifest.ReadFile("an Envoy configuration", path, maxBytes)
	if err != nil {
		return nil, nil, err
	}
	return Migrate(path, text)
}

// Is reports whether a path is an Envoy configuration, or a directory with one.
func Is(path string) bool {
	file, err := find(path)
	return err == nil && hasConfig(file)
}

// hasConfig reports whether a file is an Envoy configuration.
func hasConfig(file string) bool {
	text, err := os.ReadFile(file)
	if err != nil || len(text) > maxBytes || !bytes.Contains(text, []byte("_resources")) {
		return false
	}
	var root map[string]any
	return yaml.Unmarshal(text, &root) == nil && isConfig(root)
}

// find returns the configuration in a directory.
func find(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read an Envoy configuration: %w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	var found []string
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", fmt.Errorf("read an Envoy configuration: %w", err)
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(entry.Name())) {
			continue
		}
		if file := filepath.Join(path, entry.Name()); hasConfig(file) {
			found = append(found, file)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s: %d Envoy configurations: must be one, with static_resources or dynamic_resources", path, len(found))
	}
	return found[0], nil
}

// Options configure Run.
type Options struct {
	Envoy  string    // path of the program
	Config []byte    // as Read returns it
	Source string    // for errors
	Log    io.Writer // Envoy's log and what the configuration writes to stdout
	// Ready is called once, when Envoy is ready, with a line for each address.
	Ready func(lines []string)
}

// Run runs Envoy until the context ends. It returns an error when Envoy rejects the configuration or ends.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "fleetman-envoy")
	if err != nil {
		return fmt.Errorf("run Envoy: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(file, o.Config, 0o600); err != nil {
		return fmt.Errorf("run Envoy: %w", err)
	}
	if err := validate(ctx, o, file); err != nil {
		return err
	}
	spawner, err := process.NewSpawner()
	if err != nil {
		return err
	}
	defer spawner.Close()
	cmd := exec.Command(o.Envoy, envoy.Args(file, 1)...)
	var last tail
	cmd.Stdout, cmd.Stderr = o.Log, io.MultiWriter(o.Log, &last)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	running, err := spawner.Start(cmd)
	if err != nil {
		return fmt.Errorf("run Envoy: %w", err)
	}
	defer running.End(grace)
	admin, static := listeners(o.Config)
	go func() {
		if await(ctx, running.Done(), admin, static) {
			o.Ready(describe(admin, static))
		}
	}()
	select {
	case <-ctx.Done():
		return nil
	case <-running.Done():
		return fmt.Errorf("%s: Envoy has ended: %s", o.Source, last.line())
	}
}

// grace is how long Envoy may take to end.
const grace = 5 * time.Second

// validate returns Envoy's error about a configuration, in one line.
func validate(ctx context.Context, o Options, file string) error {
	out, err := exec.CommandContext(ctx, o.Envoy, "--mode", "validate", "--config-path", file, "--log-level", "error").CombinedOutput()
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	text := string(out)
	if _, after, found := strings.Cut(text, "error initializing configuration '"+file+"': "); found {
		text = after
	}
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return fmt.Errorf("%s: Envoy rejects it: %s", o.Source, line)
}

// await reports whether Envoy is ready before it ends: by its admin interface, or else by its listeners.
func await(ctx context.Context, ended <-chan struct{}, admin *address, static []address) bool {
	ready := func() bool {
		return !slices.ContainsFunc(static, func(a address) bool { return !tcp.Accepts(ctx, a.String(), time.Second) })
	}
	if admin != nil {
		at, err := netip.ParseAddrPort(admin.String())
		if err != nil {
			return false
		}
		client := envoy.NewClient(at)
		ready = func() bool { return client.Ready(ctx) == nil }
	}
	for !ready() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ended:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func describe(admin *address, static []address) (lines []string) {
	for _, one := range static {
		lines = append(lines, fmt.Sprintf("listener %s: http://%s", one.Name, one))
	}
	if admin != nil {
		lines = append(lines, fmt.Sprintf("admin interface: http://%s", admin))
	}
	return lines
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-4096):]
	return len(p), nil
}

// line returns the last line.
func (t *tail) line() string {
	lines := bytes.Split(bytes.TrimSpace(t.text), []byte("\n"))
	return string(lines[len(lines)-1])
}
