package cluster

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Rejections returns how many updates each ingress gateway has rejected since it started. Unlike the proxies of
// pods it may be older than the fleet.
func (c *Client) Rejections(ctx context.Context) (map[string]int, error) {
	gateways, err := c.istioPods(ctx, gatewayLog)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, pod := range gateways {
		admin := c.Proxy(pod)
		rejected, err := admin.Rejected(ctx)
		admin.Close()
		if err != nil {
			return nil, c.about("proxy of "+pod.Name, err)
		}
		counts[pod.Name] = len(rejected)
	}
	return counts, nil
}

// AwaitMesh returns when istiod has the Istio objects of the fleet, and every proxy has accepted them. An
// update that a proxy rejects is an error, other than the earlier ones, as Rejections has them. AwaitMesh
// does not wait for a fleet without proxies.
func (c *Client) AwaitMesh(ctx context.Context, earlier map[string]int) error {
	parent, err := c.fleet(ctx)
	if err != nil {
		return err
	}
	s := setOf(parent)
	s.kinds = slices.DeleteFunc(s.kinds, func(kind string) bool { return !isIstio(schema.ParseGroupKind(kind)) })
	found, err := c.members(ctx, s)
	if err != nil {
		return err
	}
	versions := versions{}
	for _, o := range found {
		versions.add(o)
	}
	return c.awaitApplied(ctx, expected{versions: versions}, earlier)
}

// ServiceAddresses returns the cluster IPs of the Services in the fleet's namespaces, by NAMESPACE/NAME.
func (c *Client) ServiceAddresses(ctx context.Context) (map[string]string, error) {
	places, err := c.allPlaces(ctx)
	if err != nil {
		return nil, err
	}
	addresses := map[string]string{}
	for _, place := range places {
		list, err := c.core.Services(place).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, c.about("services", err)
		}
		for i := range list.Items {
			addresses[place+"/"+list.Items[i].Name] = list.Items[i].Spec.ClusterIP
		}
	}
	return addresses, nil
}

// ProxyLog is the log of a pod's proxy.
type ProxyLog struct {
	Pod  string
	Text []byte
}

// ProxyLogs returns the logs of the fleet's proxies and of the ingress gateways, from a time on.
func (c *Client) ProxyLogs(ctx context.Context, since metav1.Time) ([]ProxyLog, error) {
	pods, err := c.Pods(ctx)
	if err != nil {
		return nil, err
	}
	gateways, err := c.istioPods(ctx, gatewayLog)
	if err != nil {
		return nil, err
	}
	var logs []ProxyLog
	for _, pod := range append(pods, gateways...) {
		if pod.AppAddress == "" && pod.Namespace != istioNamespace {
			continue
		}
		text, err := c.ProxyText(ctx, pod, since)
		if err != nil {
			return nil, err
		}
		logs = append(logs, ProxyLog{pod.Name, text})
	}
	return logs, nil
}
