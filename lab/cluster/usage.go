package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
)

// Usage is what a container has used.
type Usage struct {
	Namespace, Pod string
	Proxy          bool      // the pod's proxy, not its program
	At             time.Time // of the measurement
	CPU            float64   // in seconds, since the container's start
	Memory         float64   // in bytes, the working set
}

// summary is what is read of a kubelet's statistics. Their CPU is a counter, so that a sample that is missing
// loses nothing. Those of metrics.k8s.io are averages over a window of its own, which a second's curve cannot use.
type summary struct {
	Pods []struct {
		Ref        struct{ Name, Namespace string } `json:"podRef"`
		Containers []struct {
			Name string
			CPU  struct {
				Time  time.Time
				Nanos *uint64 `json:"usageCoreNanoSeconds"`
			}
			Memory struct {
				WorkingSet *uint64 `json:"workingSetBytes"`
			}
		}
	}
}

// half is the mean of what a summary's time lacks: it has whole seconds.
const half = 500 * time.Millisecond

// Usage returns what the containers on some nodes have used, by the kubelets' summaries: those of the fleet's
// namespaces and of Istio.
func (c *Client) Usage(ctx context.Context, nodes []string) (all []Usage, err error) {
	for _, node := range nodes {
		text, err := raw(ctx, c.core.RESTClient().Get().Resource("nodes").Name(node).SubResource("proxy").Suffix("stats/summary").
			Param("only_cpu_and_memory", "true"))
		if err != nil {
			return nil, c.about("node "+node+": its summary", err)
		}
		var s summary
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, c.fail(err, "node %s: its summary: %s", node, oneLine(err))
		}
		for _, pod := range s.Pods {
			for _, container := range pod.Containers {
				if container.CPU.Nanos == nil || container.Memory.WorkingSet == nil || container.Name == loads.container || container.Name == relayName {
					continue
				}
				all = append(all, Usage{
					Namespace: pod.Ref.Namespace, Pod: pod.Ref.Name, Proxy: container.Name == proxyContainer, At: container.CPU.Time.Add(half),
					CPU: float64(*container.CPU.Nanos) / 1e9, Memory: float64(*container.Memory.WorkingSet),
				})
			}
		}
	}
	return all, nil
}

// IstioNodes returns the nodes of Istio's pods, and the names of the pods of istiod.
func (c *Client) IstioNodes(ctx context.Context) (nodes, istiods []string, err error) {
	pods, err := c.list(ctx, istioNamespace, fmt.Sprintf("app in (%s,%s)", istiodLog, gatewayLog))
	on := sets.New[string]()
	for i := range pods {
		on.Insert(pods[i].Spec.NodeName)
		if pods[i].Labels["app"] == istiodLog {
			istiods = append(istiods, pods[i].Name)
		}
	}
	return sets.List(on.Delete("")), istiods, err
}
