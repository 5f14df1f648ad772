package main

import (
	"io"
	"strings"
	"testing"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/server/servertest"
)

// The whole program, on the page as built.
func TestRun(t *testing.T) {
	pageOf(t)
	s := servertest.Start(t, run, map[string]string{"VARIANT": "experimental"})
	if !strings.Contains(s.Log(), `"VARIANT":"experimental"`) {
		t.Errorf("the log lacks the effective configuration:\n%s", s.Log())
	}
	s.Call(t, "GET", "/experimental", "").Has(t, 200, "<title>Fleet Management Istio Premium Enterprise Edition</title>")
	if err := s.Stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestRunReportsBadConfiguration(t *testing.T) {
	err := run(t.Context(), envtest.Map(map[string]string{"VARIANT": "bad"}), io.Discard)
	if err == nil || !strings.Contains(err.Error(), `VARIANT: "bad": must be one of standard, experimental`) {
		t.Errorf("got %v, want an error with the variable", err)
	}
}
