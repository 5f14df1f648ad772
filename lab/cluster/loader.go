package cluster

import (
	"context"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleetman.example/lab/loader"
	"fleetman.example/lab/local"
	"fleetman.example/lab/process"
)

// loads is the program that sends a load.
var loads = program{"fleetman-load", "load", 15998}

const (
	jobKind  = "Job.batch"
	loadName = "fleetman-load-"
)

// Loader is a pod that sends a load, or a part of one.
type Loader struct {
	*loader.Client
	Pod, Node string
}

// StartLoaders starts Jobs that each send a part of a load, and returns them when they are ready. Their pods have
// no proxy. They are on nodes without pods of the fleet, as far as there are such nodes. They end after a limit,
// also when nobody removes them.
func (c *Client) StartLoaders(ctx context.Context, jobs int, limit time.Duration) ([]Loader, error) {
	for i := range jobs {
		if _, err := c.apply(ctx, c.job(loadName+strconv.Itoa(i), limit)); err != nil {
			return nil, err
		}
	}
	loaders := make([]Loader, jobs)
	for i := range loaders {
		pod, err := c.podOfJob(ctx, loadName+strconv.Itoa(i))
		if err == nil {
			err = c.await(ctx, c.namespace, pod, loads)
		}
		if err != nil {
			return nil, err
		}
		if loaders[i], err = c.loader(ctx, c.namespace, pod); err != nil {
			return nil, err
		}
	}
	return loaders, nil
}

// StartLoaderIn starts a program that sends a load in a pod of the fleet, whose proxy its requests go through.
func (c *Client) StartLoaderIn(ctx context.Context, pod local.Pod) (Loader, error) {
	if err := c.addTo(ctx, pod, loads); err != nil {
		return Loader{}, err
	}
	return c.loader(ctx, pod.Namespace, pod.Name)
}

// loader returns the client of a pod that sends a load, after it has compared their clocks.
func (c *Client) loader(ctx context.Context, namespace, pod string) (Loader, error) {
	there, err := c.core.Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
	if err != nil {
		return Loader{}, c.about("pod "+pod, err)
	}
	l := Loader{Pod: pod, Node: there.Spec.NodeName, Client: loader.NewClient(pod, c.dialer(namespace, pod, loads.port))}
	return l, l.ReadClock(ctx)
}

// podOfJob waits for the pod of a Job, and returns its name.
func (c *Client) podOfJob(ctx context.Context, job string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, helperWithin)
	defer cancel()
	for {
		pods, err := c.list(ctx, c.namespace, batchv1.JobNameLabel+"="+job)
		if err != nil {
			return "", err
		}
		if len(pods) > 0 {
			return pods[0].Name, nil
		}
		if err := process.Sleep(ctx, helperPoll); err != nil {
			return "", c.fail(err, "Job %s: no pod after %s: %s", job, helperWithin, c.refusal(ctx, job))
		}
	}
}

// refusal returns why a Job has no pod: the last warning about it.
func (c *Client) refusal(ctx context.Context, job string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), firstContact)
	defer cancel()
	events, err := c.core.Events(c.namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning,involvedObject.kind=Job,involvedObject.name=" + job})
	if err != nil || len(events.Items) == 0 {
		return "the Job's controller must create it"
	}
	return refusal(events.Items[len(events.Items)-1].Message)
}

// job returns a Job that sends a load once.
func (c *Client) job(name string, limit time.Duration) *unstructured.Unstructured {
	container := c.container(loads)
	container.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("32Mi")}
	pod := c.podOf(container)
	fleet := metav1.LabelSelector{
		MatchLabels:      map[string]string{managedBy: manager},
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: helperLabel, Operator: metav1.LabelSelectorOpDoesNotExist}},
	}
	// preferred: with one node, or with the fleet on all of them, there is no other place
	pod.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
		Weight: 100, PodAffinityTerm: corev1.PodAffinityTerm{LabelSelector: &fleet, NamespaceSelector: &metav1.LabelSelector{}, TopologyKey: corev1.LabelHostname},
	}}}}
	job := &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.namespace, Labels: map[string]string{managedBy: manager, partOfSet: fleetID(c.namespace)}},
		// a load that broke off is not sent again: its run is
		Spec: batchv1.JobSpec{BackoffLimit: new(int32(0)), ActiveDeadlineSeconds: new(int64(limit.Seconds())), Template: pod},
	}
	fields, _ := runtime.DefaultUnstructuredConverter.ToUnstructured(job) // a type of Kubernetes
	delete(fields, "status")
	return &unstructured.Unstructured{Object: fields}
}

// NodesOf returns the nodes that the fleet's pods are on.
func (c *Client) NodesOf(ctx context.Context) ([]string, error) {
	places, err := c.allPlaces(ctx)
	if err != nil {
		return nil, err
	}
	nodes := sets.New[string]()
	for _, place := range places {
		pods, err := c.list(ctx, place, noHelpers)
		if err != nil {
			return nil, err
		}
		for i := range pods {
			nodes.Insert(pods[i].Spec.NodeName)
		}
	}
	return sets.List(nodes), nil
}
