package main

import (
	"strings"
	"testing"

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
