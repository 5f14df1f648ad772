package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleetman.example/lab/local"
	"fleetman.example/lab/process"
)

// NotReadyError is the error of a fleet that does not get ready.
type NotReadyError struct {
	// Problems has a line for each pod, or for a Deployment that cannot create its pods.
	Problems []string
	After    time.Duration
}

func (e *NotReadyError) Error() string {
	return fmt.Sprintf("not ready after %s: %s", e.After.Round(time.Second), strings.Join(e.Problems, "; "))
}

// patience is how long a problem that does not go away by itself is watched before the wait ends.
const patience = 10 * time.Second

// news shows a long wait: what is awaited, and each change of that.
type news struct {
	began time.Time
	last  string
}

func (n *news) tell(progress func(string), head, text string) {
	if text != n.last && time.Since(n.began) > patience {
		n.last = text
		progress(head + text)
	}
}

// awaitReady waits until every Deployment has its pods, all ready, and no other pods are left.
func (c *Client) awaitReady(ctx context.Context, limit time.Duration, progress func(string)) error {
	return c.awaitPods(ctx, nil, limit, progress)
}

// awaitPods is awaitReady for some Deployments, as NAMESPACE/NAME: nil means all.
func (c *Client) awaitPods(ctx context.Context, of sets.Set[string], limit time.Duration, progress func(string)) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var problems problems
	hopeful := began // when no problem was a final one
	for news := (news{began: began}); ; {
		now, final, err := c.problems(ctx, of)
		switch {
		case err == nil && len(now) == 0:
			return nil
		case err == nil:
			problems = now
		case ctx.Err() == nil && time.Since(began) < limit: // the client's limiter refuses requests that would be late
			return err
		}
		if !final {
			hopeful = time.Now()
		}
		news.tell(progress, "waiting: ", strings.Join(problems.passing().lines(), "; "))
		if time.Since(hopeful) > patience || process.Sleep(ctx, pollEvery) != nil {
			if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return &UnfinishedError{fmt.Sprintf("cluster %s: not ready after %s: %s", c.context, time.Since(began).Round(time.Second),
					cmp.Or(strings.Join(problems.lines(), "; "), "unknown")), ctx.Err()}
			}
			return &NotReadyError{c.last(ctx, of, problems.lines()), time.Since(began)}
		}
	}
}

// last returns the last problems or, when the time was too short to read any, those of now.
func (c *Client) last(ctx context.Context, of sets.Set[string], problems []string) []string {
	if len(problems) > 0 {
		return problems
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), firstContact)
	defer cancel()
	now, _, err := c.problems(ctx, of)
	if err != nil {
		return []string{err.Error()}
	}
	return now.lines()
}

// problems returns why the fleet is not ready: what each Deployment lacks that cannot create pods, and each pod that is
// not ready, of some Deployments or of all. final reports whether one of them does not go away by itself.
func (c *Client) problems(ctx context.Context, of sets.Set[string]) (all problems, final bool, err error) {
	deployments, err := c.allDeployments(ctx)
	if err != nil {
		return nil, false, err
	}
	pods, err := c.Pods(ctx)
	if err != nil {
		return nil, false, err
	}
	other := func(namespace, deployment string) bool { return of != nil && !of.Has(namespace+"/"+deployment) }
	deployments = slices.DeleteFunc(deployments, func(d appsv1.Deployment) bool { return other(d.Namespace, d.Name) })
	pods = slices.DeleteFunc(pods, func(p local.Pod) bool { return other(p.Namespace, p.Deployment) })
	for i := range deployments {
		if reason, refused := deploymentProblem(&deployments[i], pods); reason != "" {
			all, final = append(all, problem{"Deployment", deployments[i].Name, reason}), final || refused
		}
	}
	for _, pod := range pods {
		if !pod.Ready {
			all = append(all, problem{"pod", pod.Name, pod.Why})
			final = final || strings.HasPrefix(pod.Why, "image ")
		}
	}
	return all, final, nil
}

// deploymentProblem returns why a Deployment has not its pods. refused reports whether the API server, a
// quota or a policy refuses them. Pods that exist have problems of their own.
func deploymentProblem(d *appsv1.Deployment, pods []local.Pod) (reason string, refused bool) {
	for _, condition := range d.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			return refusal(condition.Message), true
		}
	}
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	current := d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == wanted && d.Status.AvailableReplicas == wanted &&
		d.Status.Replicas == wanted
	if current || slices.ContainsFunc(pods, func(p local.Pod) bool { return p.Deployment == d.Name && !p.Ready }) {
		return "", false
	}
	return fmt.Sprintf("%d of %d pods are available", d.Status.AvailableReplicas, wanted), false
}

// refusal returns what refuses a pod: a quota, a LimitRange, a policy, or the mesh's injection.
func refusal(message string) string {
	message = oneLineText(message)
	text := short(forbidden.ReplaceAllString(message, ""))
	switch {
	case strings.Contains(message, "exceeded quota"):
		return "quota: " + text
	case limited.MatchString(message):
		return "limit range: " + text
	case strings.Contains(message, "violates PodSecurity") && strings.Contains(message, `"istio-init"`):
		return "policy: " + text + cniHint
	case strings.Contains(message, "violates PodSecurity"):
		return "policy: " + text
	case strings.Contains(message, "failed calling webhook"):
		return "admission webhook: " + text
	}
	return text
}
