package cluster

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleetman.example/lab/process"
)

const (
	// servicesWithin bounds AwaitServices. kube-proxy follows pods that get ready within a second, and later on a busy
	// node.
	servicesWithin = 30 * time.Second
	// connectsWithin bounds one connection: a node without rules of a Service may drop its packets.
	connectsWithin = time.Second
)

// AwaitServices returns when the fleet's Services lead to its ready pods, on each node that has pods of the fleet: a
// helper there connects to them. It waits at most servicesWithin, as a NetworkPolicy may keep helpers out.
func (c *Client) AwaitServices(ctx context.Context) error {
	addresses, err := c.readyServices(ctx)
	if err != nil || len(addresses) == 0 {
		return err
	}
	nodes, err := c.NodesOf(ctx)
	if err != nil {
		return err
	}
	var waiting sync.WaitGroup
	errs := make([]error, len(nodes))
	for i, node := range nodes {
		waiting.Go(func() { errs[i] = c.awaitFrom(ctx, node, addresses) })
	}
	waiting.Wait()
	return errors.Join(errs...)
}

// awaitFrom returns when connections from a node to all addresses succeed, or after servicesWithin.
func (c *Client) awaitFrom(ctx context.Context, node string, addresses []string) error {
	helper := helperName(node)
	if err := c.once(c.namespace+"/"+helper, func() error { return c.addHelper(ctx, helper, node) }); err != nil {
		return err
	}
	return awaitAll(ctx, addresses, func(address string) bool { return c.connects(ctx, helper, address) })
}

// awaitAll returns when connects is true of all addresses, or after servicesWithin.
func awaitAll(ctx context.Context, addresses []string, connects func(address string) bool) error {
	limit := time.Now().Add(servicesWithin)
	for _, address := range addresses {
		for time.Now().Before(limit) && !connects(address) {
			if err := process.Sleep(ctx, helperPoll); err != nil {
				return err
			}
		}
	}
	return nil
}

// connects reports whether a helper can connect to an address.
func (c *Client) connects(ctx context.Context, helper, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, connectsWithin)
	defer cancel()
	conn, err := c.dialRelay(ctx, c.namespace, helper, address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// readyServices returns the address, in the cluster, of each Service of the fleet that has a ready pod.
func (c *Client) readyServices(ctx context.Context) (addresses []string, err error) {
	pods, err := c.Pods(ctx)
	if err != nil {
		return nil, err
	}
	ready := map[string]bool{} // by NAMESPACE/NAME
	for _, pod := range pods {
		for _, service := range pod.Services {
			ready[pod.Namespace+"/"+service] = ready[pod.Namespace+"/"+service] || pod.Ready
		}
	}
	places, err := c.allPlaces(ctx)
	if err != nil {
		return nil, err
	}
	for _, place := range places {
		list, err := c.core.Services(place).List(ctx, metav1.ListOptions{LabelSelector: ofFleet})
		if err != nil {
			return nil, c.about("services", err)
		}
		for i := range list.Items {
			if s := &list.Items[i]; ready[place+"/"+s.Name] && hasAddress(s) {
				addresses = append(addresses, net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(int(s.Spec.Ports[0].Port))))
			}
		}
	}
	return addresses, nil
}

// hasAddress reports whether kube-proxy leads the address of a Service to its pods, by TCP.
func hasAddress(s *corev1.Service) bool {
	return s.Spec.ClusterIP != "" && s.Spec.ClusterIP != corev1.ClusterIPNone && len(s.Spec.Ports) > 0 && s.Spec.Ports[0].Protocol != corev1.ProtocolUDP
}
