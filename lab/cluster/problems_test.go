package cluster

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestProblems: equal reasons and equal hints are there once.
func TestProblems(t *testing.T) {
	security := func(pod string) string {
		return refusal(`pods "` + pod + `" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities (container "istio-init" must not include "NET_ADMIN" in securityContext.capabilities.add` +
			strings.Repeat(", and more", 30) + `), runAsNonRoot != true (pod must not set it)`)
	}
	all := problems{
		{"Deployment", "a", security("a-1")},
		{"Deployment", "b", security("b-1")},
		{"pod", "c-1", "image missing: c:6" + imageHint},
		{"pod", "d-1", "Startup probe failed: connection refused"},
		{"pod", "e-1", "image missing: e:6" + imageHint},
		{"pod", "f-1", "it starts"},
	}
	const policy = `Deployments a, b: policy: violates PodSecurity "restricted:latest": unrestricted capabilities, runAsNonRoot != true` + cniHint
	assert.Equal(t, []string{
		policy, "pod c-1: image missing: c:6", "pod d-1: Startup probe failed: connection refused", "pod e-1: image missing: e:6" + imageHint, "pod f-1: it starts",
	}, all.lines())
	assert.Equal(t, []string{policy, "pod c-1: image missing: c:6", "pods d-1, f-1: it starts", "pod e-1: image missing: e:6" + imageHint}, all.passing().lines(), "while they start")
	assert.Equal(t, strings.Repeat("a", maxReason)+"…", short(strings.Repeat("a", 2*maxReason)))
}
