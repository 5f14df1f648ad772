package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"fleetman.example/lab/control"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/local"
)

// Containers and ports that Istio's injection adds.
const (
	proxyContainer = "istio-proxy"
	proxyAdmin     = 15000
	defaultAdmin   = 9090 // the port of the services' admin listeners
	ingressGateway = "istio-ingressgateway"
)

// Status returns the status of the fleet, with the faults of its pods.
func (c *Client) Status(ctx context.Context) (control.Status, error) {
	parent, err := c.fleet(ctx)
	if err != nil {
		return control.Status{}, err
	}
	status := control.Status{State: "namespace " + c.namespace + " of cluster " + c.context, Since: parent.CreationTimestamp.Time, Manifests: setOf(parent).manifests}
	if status.Pods, err = c.Pods(ctx); err != nil {
		return status, err
	}
	status.HasMesh = len(proxied(status.Pods)) > 0
	if status.NodePorts, err = c.NodePorts(ctx); err != nil && !apierrors.IsForbidden(err) { // who may not list nodes gets no address
		return status, err
	}
	for i := range status.NodePorts {
		port := &status.NodePorts[i]
		port.NoPods = port.Service != ingressGateway && !slices.ContainsFunc(status.Pods, func(pod local.Pod) bool {
			return pod.Ready && slices.Contains(pod.Services, port.Service)
		})
	}
	status.Look(ctx, c.faultClient(parent), lookTimeout)
	return status, nil
}

// lookTimeout bounds the requests to a pod's admin listener: each needs a tunnel through the API server.
const lookTimeout = 3 * time.Second

// FaultClient returns a client of the pods' admin listeners, with the fleet's token.
func (c *Client) FaultClient(ctx context.Context) (*faults.Client, error) {
	parent, err := c.fleet(ctx)
	if err != nil {
		return nil, err
	}
	return c.faultClient(parent), nil
}

func (c *Client) faultClient(parent *corev1.Secret) *faults.Client {
	client := &faults.Client{Token: string(parent.Data[tokenKey])}
	client.HTTP.Transport = c.podTransport()
	return client
}

const (
	// ofFleet selects what fleetman has made.
	ofFleet = managedBy + "=" + manager
	// noHelpers selects pods of the fleet itself.
	noHelpers = ofFleet + ",!" + helperLabel
)

// list returns the pods of a namespace that a selector selects.
func (c *Client) list(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	list, err := c.core.Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, c.about("pods of namespace "+namespace, err)
	}
	return list.Items, nil
}

// Pods returns the pods of the fleet, in the order of their names, with the reason for each that is not
// ready. Their Address is that of the cluster's network: connections go through DialPod.
func (c *Client) Pods(ctx context.Context) ([]local.Pod, error) {
	places, err := c.allPlaces(ctx)
	if err != nil {
		return nil, err
	}
	var all []local.Pod
	for _, place := range places {
		pods, err := c.list(ctx, place, noHelpers)
		if err != nil {
			return nil, err
		}
		services, err := c.core.Services(place).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, c.about("services", err)
		}
		why := c.reasons(ctx, place, pods)
		for i := range pods {
			pod := describe(&pods[i], services.Items)
			pod.Why = why[pod.Name]
			all = append(all, pod)
		}
	}
	c.remember(all)
	slices.SortFunc(all, func(a, b local.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

// allPlaces returns the namespaces of the fleet, its own first.
func (c *Client) allPlaces(ctx context.Context) ([]string, error) {
	parent, err := c.fleet(ctx)
	return c.placesOf(parent), err
}

func (c *Client) placesOf(parent *corev1.Secret) []string {
	others := slices.DeleteFunc(setOf(parent).places, func(place string) bool { return place == istioNamespace })
	return append([]string{c.namespace}, others...)
}

// describe returns a pod in the terms of the fleets on this machine.
func describe(p *corev1.Pod, services []corev1.Service) local.Pod {
	pod := local.Pod{
		Name: p.Name, Namespace: p.Namespace, Deployment: deploymentOf(p), Address: p.Status.PodIP, Ready: isReady(p), State: state(p),
		AdminPort: defaultAdmin,
	}
	for i := range services {
		if s := &services[i]; len(s.Spec.Selector) > 0 && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.Labels)) {
			pod.Services = append(pod.Services, s.Name)
		}
	}
	if len(p.Spec.Containers) == 0 {
		return pod
	}
	app := appContainer(p)
	pod.Image, pod.Program = app.Image, programOf(app.Image)
	for _, port := range app.Ports {
		switch {
		case port.Name == "admin":
			pod.AdminPort = int(port.ContainerPort)
		case pod.Port == 0:
			pod.Port, pod.DeclaredPort = int(port.ContainerPort), int(port.ContainerPort)
		}
	}
	for _, variable := range app.Env {
		if variable.Name == "VARIANT" {
			pod.Variant = variable.Value
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		if s.Name == app.Name {
			pod.Restarts = int(s.RestartCount)
			if s.State.Running != nil {
				pod.Started = s.State.Running.StartedAt.Time
			}
		}
	}
	if hasProxy(p) {
		pod.AppAddress, pod.Revision = appAddress(p.Name, pod.Port), revisionOf(p)
	}
	return pod
}

// appAddress is the address of a pod's program behind its proxy, which only DialPod reaches.
func appAddress(pod string, port int) string { return pod + ":" + strconv.Itoa(port) }

// appContainer returns the first container that is no proxy.
func appContainer(p *corev1.Pod) *corev1.Container {
	i := slices.IndexFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Name != proxyContainer })
	return &p.Spec.Containers[max(i, 0)]
}

// hasProxy reports whether injection has added a proxy: a container or, as a native sidecar, an init
// container.
func hasProxy(p *corev1.Pod) bool {
	containers := slices.Concat(p.Spec.Containers, p.Spec.InitContainers)
	return slices.ContainsFunc(containers, func(c corev1.Container) bool { return c.Name == proxyContainer })
}

// revisionOf returns the revision of the control plane that has injected the pod's proxy. A label may name a tag; the
// injector notes what it stands for.
func revisionOf(p *corev1.Pod) string {
	var status struct {
		Revision string `json:"revision"`
	}
	_ = json.Unmarshal([]byte(p.Annotations["sidecar.istio.io/status"]), &status) // without one it stays empty
	return status.Revision
}

// proxied returns the pods that have a proxy.
func proxied(pods []local.Pod) []local.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(pod local.Pod) bool { return pod.AppAddress == "" })
}

// deploymentOf returns the Deployment of a pod: its ReplicaSet's name without the template's hash.
func deploymentOf(p *corev1.Pod) string {
	for _, owner := range p.OwnerReferences {
		if owner.Kind == "ReplicaSet" {
			return strings.TrimSuffix(owner.Name, "-"+p.Labels["pod-template-hash"])
		}
	}
	return ""
}

func isReady(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// state returns the state of a pod in the words of local.Pod.
func state(p *corev1.Pod) string {
	switch {
	case p.DeletionTimestamp != nil:
		return "terminating"
	case p.Status.Phase == corev1.PodFailed, p.Status.Phase == corev1.PodSucceeded:
		return "stopped"
	case p.Status.Phase == corev1.PodPending, slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.State.Running == nil }):
		return "waiting"
	}
	return "running"
}

// NodePorts returns the node ports of the fleet's Services and, when the fleet has a Gateway, that of the
// ingress gateway.
func (c *Client) NodePorts(ctx context.Context) ([]local.NodePort, error) {
	parent, err := c.fleet(ctx)
	if err != nil {
		return nil, err
	}
	node, err := c.nodeAddress(ctx)
	if err != nil {
		return nil, err
	}
	var ports []local.NodePort
	for _, place := range c.placesOf(parent) {
		services, err := c.core.Services(place).List(ctx, metav1.ListOptions{LabelSelector: ofFleet})
		if err != nil {
			return nil, c.about("services", err)
		}
		ports = append(ports, nodePorts(services.Items, node)...)
	}
	if slices.Contains(setOf(parent).kinds, "Gateway.networking.istio.io") {
		gateway, err := c.core.Services(istioNamespace).Get(ctx, ingressGateway, metav1.GetOptions{})
		if err == nil {
			ports = append(ports, nodePorts([]corev1.Service{*gateway}, node)...)
		}
	}
	return ports, nil
}

func nodePorts(services []corev1.Service, node netip.Addr) (ports []local.NodePort) {
	for i := range services {
		s := &services[i]
		for _, port := range s.Spec.Ports {
			if port.NodePort == 0 || s.Name == ingressGateway && port.Port != 80 {
				continue
			}
			declared := int(port.NodePort)
			if number, err := strconv.Atoi(s.Annotations[declaredPort+strconv.Itoa(int(port.Port))]); err == nil {
				declared = number
			}
			ports = append(ports, local.NodePort{
				Service: s.Name, Name: port.Name, Declared: declared, Address: netip.AddrPortFrom(node, uint16(port.NodePort)),
			})
		}
	}
	return ports
}

// nodeAddress returns the address of a node that is ready: its external one, if it has one.
func (c *Client) nodeAddress(ctx context.Context) (netip.Addr, error) {
	nodes, err := c.core.Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return netip.Addr{}, c.about("nodes", err)
	}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeInternalIP} {
		for i := range nodes.Items {
			if !nodeReady(&nodes.Items[i]) {
				continue
			}
			for _, a := range nodes.Items[i].Status.Addresses {
				if address, err := netip.ParseAddr(a.Address); err == nil && a.Type == kind {
					return address, nil
				}
			}
		}
	}
	return netip.Addr{}, c.fail(nil, "nodes: none of %d is ready and has an address", len(nodes.Items))
}

func nodeReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// find returns the pod of a name, or the only pod of the Deployment of that name.
func (c *Client) find(ctx context.Context, name string) (local.Pod, error) {
	pods, err := c.Pods(ctx)
	if err != nil {
		return local.Pod{}, err
	}
	i, err := local.FindPod(name, pods)
	if err != nil {
		return local.Pod{}, err
	}
	return pods[i], nil
}
