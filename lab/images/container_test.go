package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// container is a running image; it is gone when its test is.
type container struct {
	docker
	id string
}

// network is a network of the test's own, whose names its containers find each other by.
func (d docker) network(t *testing.T) string {
	t.Helper()
	id := d.must(t, "network", "create", fmt.Sprintf("fleetman-test-%d", time.Now().UnixNano()))
	t.Cleanup(func() { d.cleanUp(t, "network", "rm", id) })
	return id
}

// cleanUp runs docker when the test's context has ended.
func (d docker) cleanUp(t *testing.T, args ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
	defer cancel()
	_, err := d.run(ctx, args...)
	assert.NoError(t, err)
}

// pod is the part of a manifest that a container is started with.
type pod struct {
	image, network, name string // name: of its Service, "" for none
	env                  []string
	command              []string // in the place of the image's
}

// start runs p with the securityContext of the manifests, and waits until it is ready.
func (d docker) start(t *testing.T, p pod) container {
	t.Helper()
	args := []string{
		"run", "--detach", "--read-only", "--user", "65532:65532", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--network", p.network, "--publish", "127.0.0.1::9090", "--publish", "127.0.0.1::8080", "--publish", "127.0.0.1::80", "--env", "ADMIN_ADDR=:9090",
	}
	if p.name != "" {
		args = append(args, "--network-alias", p.name)
	}
	for _, e := range p.env {
		args = append(args, "--env", e)
	}
	if len(p.command) > 0 {
		args = append(args, "--entrypoint", p.command[0])
	}
	args = append(args, p.image)
	if len(p.command) > 0 {
		args = append(args, p.command[1:]...)
	}
	c := container{d, d.must(t, args...)}
	t.Cleanup(func() {
		if t.Failed() {
			logs := exec.Command(d.command, "logs", "--tail", "30", c.id)
			text, err := logs.CombinedOutput()
			t.Logf("%s says, %v:\n%s", p.image, err, text)
		}
		d.cleanUp(t, "rm", "--force", c.id)
	})
	c.until(t, 9090, "/readyz", "ready", func(answer string) bool { return answer == "200 ready\n" })
	return c
}

// get returns the status and the body, as "200 BODY", of a port of the container.
func (c container) get(port int, path string, header http.Header) (answer string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	at, err := c.run(ctx, "port", c.id, fmt.Sprintf("%d/tcp", port))
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+strings.TrimSpace(at)+path, nil)
	if err != nil {
		return "", err
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, body), err
}

func (c container) mustGet(t *testing.T, port int, path string) (answer string) {
	t.Helper()
	answer, err := c.get(port, path, nil)
	require.NoError(t, err)
	return answer
}

// until asks again and again, for five minutes at most, until the answer is good.
func (c container) until(t *testing.T, port int, path, wanted string, good func(answer string) bool) {
	t.Helper()
	deadline := time.After(5 * time.Minute)
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		answer, err := c.get(port, path, nil)
		if err == nil && good(answer) {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("GET %s: got %s, %v; want %s", path, answer, err, wanted)
		}
	}
}

// stop stops it as a cluster does, and checks that it went by itself and in order.
func (c container) stop(t *testing.T) {
	t.Helper()
	c.must(t, "stop", "--time", "20", c.id)
	assert.Equal(t, "0", c.must(t, "inspect", "--format", "{{.State.ExitCode}}", c.id), "exit code")
}
