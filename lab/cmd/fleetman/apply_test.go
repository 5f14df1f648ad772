package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/local"
)

// TestLostFaults: only the faults of pods that are gone are lost, unless a new pod of the Deployment has them by its variables.
func TestLostFaults(t *testing.T) {
	pod := func(name, deployment, faults string) local.Pod {
		return local.Pod{Name: name, Namespace: "default", Deployment: deployment, Faults: faults}
	}
	before := []local.Pod{
		pod("a-0", "a", "status=502,rate=0.5"), pod("a-1", "a", ""),
		pod("b-0", "b", "delay=1s"),
		pod("c-0", "c", "status=500"),
		{Name: "shop/a-0", Namespace: "shop", Deployment: "a", Faults: "status=503"},
	}
	after := []local.Pod{
		pod("a-2", "a", ""), pod("a-3", "a", ""),
		pod("b-1", "b", "delay=1s"),
		pod("c-0", "c", ""),
	}
	want := []string{
		"a-0 ended, and its faults with it: status=502,rate=0.5",
		"shop/a-0 ended, and its faults with it: status=503",
	}
	assert.Equal(t, want, lostFaults(before, after), "notes")
	assert.Empty(t, lostFaults(before, before), "notes without a change")
}
