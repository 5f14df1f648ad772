package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reasons returns why pods are not ready, by name. Events and nodes, which explain more, are read as far as
// that is allowed.
func (c *Client) reasons(ctx context.Context, namespace string, pods []corev1.Pod) map[string]string {
	why := map[string]string{}
	if !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return !isReady(&p) }) {
		return why
	}
	events := map[string]string{} // the last one of each pod
	if list, err := c.core.Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning,involvedObject.kind=Pod"}); err == nil {
		slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return eventTime(&a).Compare(eventTime(&b)) })
		for i := range list.Items {
			events[list.Items[i].InvolvedObject.Name] = list.Items[i].Message
		}
	}
	down := map[string]bool{} // nodes
	if nodes, err := c.core.Nodes().List(ctx, metav1.ListOptions{}); err == nil {
		for i := range nodes.Items {
			down[nodes.Items[i].Name] = !nodeReady(&nodes.Items[i])
		}
	}
	for i := range pods {
		p := &pods[i]
		switch {
		case isReady(p):
		case down[p.Spec.NodeName]:
			why[p.Name] = "node " + p.Spec.NodeName + " is not ready"
		default:
			why[p.Name] = reason(p, events[p.Name])
		}
	}
	return why
}

func eventTime(e *corev1.Event) time.Time {
	if !e.LastTimestamp.IsZero() {
		return e.LastTimestamp.Time
	}
	return e.EventTime.Time
}

// reason returns why a pod is not ready: what its containers wait for, why the last one ended, why it has
// no node, or what the probe got.
func reason(p *corev1.Pod, event string) string {
	if p.DeletionTimestamp != nil {
		return "it is being deleted"
	}
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if text := containerReason(&s); text != "" {
			return text
		}
	}
	if p.Status.Phase == corev1.PodFailed {
		return strings.TrimSpace(p.Status.Reason + " " + p.Status.Message)
	}
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return "no node: " + condition.Message
		}
	}
	if why := imageReason(strings.TrimPrefix(event, "Error: "), appContainer(p).Image); why != "" {
		return why // the kubelet reports an event earlier than the container's state
	}
	if event != "" {
		return oneLineText(event)
	}
	for i := range p.Status.ContainerStatuses {
		if s := &p.Status.ContainerStatuses[i]; !s.Ready {
			return "its container " + s.Name + " is not ready yet"
		}
	}
	return "it starts"
}

// explained are the reasons of the kubelet that need more than its message.
var explained = map[string]string{
	"ErrImageNeverPull": "image missing",
	"ErrImagePull":      "image missing",
	"ImagePullBackOff":  "image missing",
	"InvalidImageName":  "image name invalid",
}

// imageReason returns why a container has no image, or "" if that is not the kubelet's reason.
func imageReason(reason, image string) string {
	if explained[reason] == "" {
		return ""
	}
	return explained[reason] + ": " + image + imageHint
}

func containerReason(s *corev1.ContainerStatus) string {
	waiting := s.State.Waiting
	switch {
	case waiting != nil && explained[waiting.Reason] != "":
		return imageReason(waiting.Reason, s.Image)
	case waiting != nil && waiting.Reason == "CrashLoopBackOff" && s.LastTerminationState.Terminated != nil:
		last := s.LastTerminationState.Terminated
		return fmt.Sprintf("its container %s ended with exit code %d, %d times", s.Name, last.ExitCode, s.RestartCount) + printed(last)
	case waiting != nil && waiting.Message != "":
		return fmt.Sprintf("its container %s: %s: %s", s.Name, waiting.Reason, oneLineText(waiting.Message))
	case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
		return fmt.Sprintf("its container %s ended with exit code %d", s.Name, s.State.Terminated.ExitCode) + printed(s.State.Terminated)
	}
	return ""
}

// maxPrinted bounds what is shown of a container's last lines, in bytes.
const maxPrinted = 500

// printed returns the end of what a container has printed before it ended, where its terminationMessagePolicy keeps it.
func printed(t *corev1.ContainerStateTerminated) string {
	text := oneLineText(t.Message)
	if len(text) > maxPrinted {
		text = "…" + strings.ToValidUTF8(text[len(text)-maxPrinted:], "")
	}
	if text == "" {
		return ""
	}
	return ": " + text
}

func oneLineText(text string) string { return strings.Join(strings.Fields(text), " ") }
