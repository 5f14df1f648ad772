package cluster

import (
	"regexp"
	"slices"
	"strings"
)

// problem is why a Deployment or a pod is not ready.
type problem struct{ kind, name, reason string }

type problems []problem

// Hints at the ends of reasons, which many pods share.
const (
	imageHint = ": load it with fleetman images load, or name a registry with --images"
	cniHint   = ": with sidecars this profile requires Istio's CNI plug-in, because istio-init needs NET_ADMIN"
)

// lines returns a line for each reason, with the names that have it. A hint is in the last of its lines.
func (all problems) lines() []string {
	var lines []string
	hinted := map[string]bool{}
	for i, p := range slices.Backward(all) {
		same := func(other problem) bool { return other.kind == p.kind && other.reason == p.reason }
		if slices.ContainsFunc(all[:i], same) {
			continue // the first one has the names
		}
		var names []string
		for _, other := range all[i:] {
			if same(other) {
				names = append(names, other.name)
			}
		}
		kind := p.kind
		if len(names) > 1 {
			kind += "s"
		}
		reason := p.reason
		for _, hint := range []string{imageHint, cniHint} {
			if text, ok := strings.CutSuffix(reason, hint); ok && hinted[hint] {
				reason = text
			} else if ok {
				hinted[hint] = true
			}
		}
		lines = append(lines, kind+" "+strings.Join(names, ", ")+": "+reason)
	}
	slices.Reverse(lines)
	return lines
}

// passing returns the problems without the failures of startup probes, which are no news while pods start.
func (all problems) passing() problems {
	all = slices.Clone(all)
	for i := range all {
		if strings.HasPrefix(all[i].reason, "Startup probe failed") {
			all[i].reason = "it starts"
		}
	}
	return all
}

var (
	// forbidden is what stands before the reason of a refusal, with the name of the pod.
	forbidden = regexp.MustCompile(`^pods "[^"]*" is forbidden: `)
	// limited is of a LimitRange's message.
	limited = regexp.MustCompile(` per (Container|Pod) is `)
	// details are of each container, in a long message.
	details = regexp.MustCompile(` \([^()]*\)`)
)

// maxReason bounds the text of the API server in a reason, in bytes.
const maxReason = 300

// short returns a text without the details of each container if it is longer than maxReason, and at most that much of it.
func short(text string) string {
	if len(text) > maxReason {
		text = details.ReplaceAllString(text, "")
	}
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}
