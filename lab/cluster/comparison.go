package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
)

// Supports returns an error unless the cluster responds, and has the kinds of the objects, in versions that are
// new enough.
func (c *Client) Supports(ctx context.Context, objects *manifest.Objects, change Change) error {
	all, err := c.prepare(objects, change)
	if err != nil {
		return err
	}
	return c.supports(ctx, all)
}

// Outside returns the namespaces of the manifests that exist and are not the fleet's, and the objects in other namespaces
// than the fleet's; and the namespaces of the manifests other than its own.
func (c *Client) Outside(ctx context.Context, objects *manifest.Objects) (refs, namespaces []string, err error) {
	all, err := c.prepare(objects, Change{})
	if err != nil {
		return nil, nil, err
	}
	outside, err := c.outside(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	for _, o := range outside {
		refs = append(refs, refOf(o))
	}
	for _, o := range all {
		if o.GetKind() == "Namespace" && o.GetName() != c.namespace {
			namespaces = append(namespaces, o.GetName())
		}
	}
	return refs, namespaces, nil
}

// CheckFree returns an error if the namespace exists, or cannot.
func (c *Client) CheckFree(ctx context.Context) error {
	if wrong := validation.IsDNS1123Label(c.namespace); len(wrong) > 0 {
		return fmt.Errorf("--namespace: %s: must be a shorter one: an arm's namespace has at most 63 letters, digits and hyphens", c.namespace)
	}
	there, err := c.readNamespace(ctx, c.namespace)
	switch {
	case there == nil:
		return err
	case there.Annotations[createdBy] == "":
		return c.fail(nil, "namespace %s: exists, and fleetman did not make it: must be deleted, or choose another --namespace", c.namespace)
	}
	of := cmp.Or(there.Labels[armOf], c.namespace)
	return c.fail(nil, "namespace %s: exists: end its fleet first with %s, or choose another --namespace", c.namespace, c.DownCommand(of))
}

// downArms removes the fleets of a comparison in this client's namespace, and returns whether there was one.
func (c *Client) downArms(ctx context.Context) (any bool, err error) {
	list, err := c.core.Namespaces().List(ctx, metav1.ListOptions{LabelSelector: ofFleet + "," + armOf + "=" + c.namespace})
	switch {
	case apierrors.IsForbidden(err):
		return false, nil // nor has this user made a comparison, whose role has the permission
	case err != nil:
		return false, c.about("namespaces", err)
	}
	var errs []error
	for i := range list.Items {
		arm, err := c.In(list.Items[i].Name)
		if err == nil {
			_, err = arm.downOne(ctx)
			arm.Close()
		}
		errs = append(errs, err)
	}
	return len(list.Items) > 0, errors.Join(errs...)
}

// Final reports whether an error does not go away by itself: of credentials, permissions, or objects.
func Final(err error) bool {
	var late *NotReadyError
	return apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || errors.As(err, &late)
}

// Transient reports whether an error is one of the connection to the API server or to a pod, or of an API server that
// cannot respond now.
func Transient(err error) bool {
	if Final(err) {
		return false
	}
	_, network := errors.AsType[*net.OpError](err)
	return network || errors.Is(err, context.DeadlineExceeded) || apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err)
}

// ProxyText returns the log of a pod's proxy since a time.
func (c *Client) ProxyText(ctx context.Context, pod local.Pod, since metav1.Time) ([]byte, error) {
	options := &corev1.PodLogOptions{Container: proxyContainer, SinceTime: &since}
	text, err := raw(ctx, c.core.Pods(pod.Namespace).GetLogs(pod.Name, options))
	return text, c.about("log of the proxy of "+pod.Name, err)
}

// Gateways returns the pods of the ingress gateway.
func (c *Client) Gateways(ctx context.Context) ([]local.Pod, error) {
	pods, err := c.istioPods(ctx, gatewayLog)
	c.remember(pods)
	return pods, err
}

// Description describes a cluster.
type Description struct {
	Kubernetes, Istio string // versions; Istio empty without one
	Nodes             int
	Cores             int64
	Platform          string   // linux/amd64
	Names             []string // of the nodes
}

func (d Description) String() string {
	return fmt.Sprintf("cluster: %d nodes, %d cores, %s", d.Nodes, d.Cores, d.Platform)
}

// Describe describes the cluster.
func (c *Client) Describe(ctx context.Context) (d Description, err error) {
	if err := c.Reach(ctx); err != nil {
		return d, err
	}
	nodes, err := c.core.Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return d, c.about("nodes", err)
	}
	platforms := sets.New[string]()
	for i := range nodes.Items {
		n := &nodes.Items[i]
		d.Nodes++
		d.Names = append(d.Names, n.Name)
		d.Cores += n.Status.Capacity.Cpu().Value()
		platforms.Insert(n.Status.NodeInfo.OperatingSystem + "/" + n.Status.NodeInfo.Architecture)
		d.Kubernetes = n.Status.NodeInfo.KubeletVersion
	}
	d.Platform, d.Istio = strings.Join(sets.List(platforms), ", "), c.istioVersion(ctx)
	return d, nil
}

// ServiceOf returns the host and the address of a Service of the fleet by which pods of the cluster reach
// it: the port is its first one that is not of an admin listener.
func (c *Client) ServiceOf(ctx context.Context, namespace, name string) (host, address string, err error) {
	s, err := c.core.Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", "", c.about("Service "+namespace+"/"+name, err)
	}
	i := slices.IndexFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return strings.HasPrefix(p.Name, "http") })
	if i < 0 {
		i = slices.IndexFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name != "admin" })
	}
	if i < 0 {
		return "", "", c.fail(nil, "Service %s/%s: no port: must have one", namespace, name)
	}
	port := strconv.Itoa(int(s.Spec.Ports[i].Port))
	host = net.JoinHostPort(name, port)
	if namespace != c.namespace {
		host = net.JoinHostPort(name+"."+namespace, port)
	}
	address = host
	if s.Spec.ClusterIP != "" && s.Spec.ClusterIP != corev1.ClusterIPNone {
		address = net.JoinHostPort(s.Spec.ClusterIP, port)
	}
	return host, address, nil
}
