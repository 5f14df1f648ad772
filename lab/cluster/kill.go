package cluster

import (
	"context"
	"fmt"
	"syscall"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kill ends a pod, which its Deployment replaces, and returns a description of the effect. TERM deletes it,
// with its grace period; KILL deletes it without one. The API server has no other signal.
func (c *Client) Kill(ctx context.Context, name string, sig syscall.Signal) (string, error) {
	var options metav1.DeleteOptions
	how := "deleted: it leaves the endpoints, its preStop sleep passes, then it drains"
	switch sig {
	case syscall.SIGTERM:
	case syscall.SIGKILL:
		options.GracePeriodSeconds = new(int64(0))
		how = "killed at once"
	default:
		return "", fmt.Errorf("signal: %v: must be TERM or KILL: the API of a cluster has no others", sig)
	}
	pod, err := c.find(ctx, name)
	if err != nil {
		return "", err
	}
	if err := c.core.Pods(pod.Namespace).Delete(ctx, pod.Name, options); err != nil {
		return "", c.about("pod "+pod.Name, err)
	}
	return fmt.Sprintf("%s: %s; Deployment %s replaces it", pod.Name, how, pod.Deployment), nil
}
