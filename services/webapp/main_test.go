package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"fleetman.example/kit/env/envtest"
)

// The whole program, on the page as built.
func TestRun(t *testing.T) {
	pageOf(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, envtest.Map(map[string]string{
			"LISTEN_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "DRAIN_DELAY": "0s", "VARIANT": "experimental",
		}), in)
		in.Close()
		ended <- err
	}()

	lines := bufio.NewScanner(out)
	addr, logged := "", ""
	for addr == "" && lines.Scan() {
		var line struct{ Msg, Addr string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("log line %s: %v", lines.Text(), err)
		}
		logged += lines.Text() + "\n"
		addr = line.Addr
	}
	if addr == "" {
		t.Fatalf("ended without listening: %v\n%s", <-ended, logged)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()

	if !strings.Contains(logged, `"VARIANT":"experimental"`) {
		t.Errorf("the log lacks the effective configuration:\n%s", logged)
	}
	resp, body := get(t, "http://"+addr, "/experimental")
	if resp.StatusCode != 200 || !strings.Contains(body, "<title>Fleet Management Istio Premium Enterprise Edition</title>") {
		t.Errorf("status %d, body %s, want 200 and the experimental title", resp.StatusCode, body)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestRunReportsBadConfiguration(t *testing.T) {
	err := run(t.Context(), envtest.Map(map[string]string{"VARIANT": "bad"}), io.Discard)
	if err == nil || !strings.Contains(err.Error(), `VARIANT: "bad": must be one of standard, experimental`) {
		t.Errorf("got %v, want an error with the variable", err)
	}
}
