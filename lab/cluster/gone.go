package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleetman.example/lab/process"
)

// UnfinishedError is the error of an operation that ended before it was done, by an interruption or a limit. Its text
// has what the operation waited for, and what it leaves on the cluster.
type UnfinishedError struct {
	Text  string
	Cause error // nil: a limit
}

func (e *UnfinishedError) Error() string { return e.Text }
func (e *UnfinishedError) Unwrap() error { return e.Cause }

// goneWithin bounds the time until deleted objects are gone, and the removal of a fleet that could not be started.
const goneWithin = 2 * time.Minute

// awaitGone waits until left returns nothing: it returns a line for each object that is not gone.
func (c *Client) awaitGone(ctx context.Context, limit time.Duration, progress func(string), left func(context.Context) ([]string, error)) error {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	text := "unknown"
	for news := (news{began: began}); ; {
		lines, err := left(limited)
		switch {
		case err == nil && len(lines) == 0:
			return nil
		case err == nil:
			text = strings.Join(lines, "; ")
		case limited.Err() == nil && time.Since(began) < limit: // the client's limiter refuses requests that would be late
			return err
		}
		news.tell(progress, "waiting for the end of ", text)
		if process.Sleep(limited, pollEvery) != nil {
			return &UnfinishedError{
				fmt.Sprintf("cluster %s: not gone after %s: %s", c.context, time.Since(began).Round(time.Second), text), ctx.Err(),
			}
		}
	}
}

// awaitNamespaceGone waits for the end of a namespace.
func (c *Client) awaitNamespaceGone(ctx context.Context, name string, limit time.Duration, progress func(string)) error {
	return c.awaitGone(ctx, limit, progress, func(ctx context.Context) ([]string, error) {
		there, err := c.readNamespace(ctx, name)
		if there == nil {
			return nil, err
		}
		return []string{"namespace " + name + whyNamespaceStays(there)}, nil
	})
}

// awaitEnding waits for the end of those of the namespaces that are being deleted.
func (c *Client) awaitEnding(ctx context.Context, all []*unstructured.Unstructured, limit time.Duration, progress func(string)) error {
	for _, o := range all {
		if o.GetKind() != "Namespace" {
			continue
		}
		there, err := c.readNamespace(ctx, o.GetName())
		if err == nil && there != nil && there.DeletionTimestamp != nil {
			err = c.awaitNamespaceGone(ctx, o.GetName(), limit, progress)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whyNamespaceStays returns what the API server reports of a namespace that is being deleted.
func whyNamespaceStays(n *corev1.Namespace) string {
	var why []string
	for _, condition := range n.Status.Conditions {
		if condition.Status == corev1.ConditionTrue {
			why = append(why, strings.TrimSuffix(oneLineText(condition.Message), "."))
		}
	}
	if len(why) == 0 {
		return ""
	}
	return " (" + strings.Join(why, "; ") + ")"
}

// whyStays returns what an object that is being deleted waits for.
func whyStays(o metav1.Object) string {
	if o.GetDeletionTimestamp() == nil || len(o.GetFinalizers()) == 0 {
		return ""
	}
	return " (finalizer " + strings.Join(o.GetFinalizers(), ", ") + ")"
}
