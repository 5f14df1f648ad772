package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/kube"
)

// source is a log: of one container of a pod.
type source struct{ name, namespace, pod, container string }

// The names of logs that are not of the fleet's pods.
const (
	allPods     = "all"
	wholeMesh   = "mesh"
	istiodLog   = "istiod"
	gatewayLog  = "istio-ingressgateway"
	proxySuffix = ".envoy"
)

// ofApp begins the selector of a part of the mesh.
const ofApp = "app="

// Logs writes the log of a pod to w, or of every pod when name is "all". POD.envoy is that of the pod's
// proxy; istiod, istiod-REVISION, istio-ingressgateway and mesh are those of the mesh.
func (c *Client) Logs(ctx context.Context, name string, o local.LogOptions, w io.Writer) error {
	sources, err := c.sources(ctx, name)
	if err != nil {
		return err
	}
	out := local.NewLineWriter(w)
	var copying sync.WaitGroup
	errs := make([]error, len(sources))
	for i, s := range sources {
		prefix := ""
		if o.Prefix {
			prefix = s.name + " | "
		}
		copying.Go(func() { errs[i] = c.copyLog(ctx, s, prefix, o, out) })
		if !o.Follow {
			copying.Wait() // one after the other
		}
	}
	copying.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

// sources returns the logs of a name.
func (c *Client) sources(ctx context.Context, name string) ([]source, error) {
	switch {
	case name == gatewayLog, name == istiodLog, strings.HasPrefix(name, istiodLog+"-"):
		app := gatewayLog
		if name != gatewayLog {
			app = istiodLog
		}
		found, err := c.meshSources(ctx, app)
		found = slices.DeleteFunc(found, func(s source) bool { return s.name != name })
		if err == nil && len(found) == 0 {
			err = c.fail(nil, "no pod of %s in namespace %s", name, istioNamespace)
		}
		return found, err
	case name == allPods, name == wholeMesh:
		return c.allSources(ctx, name == wholeMesh)
	}
	bare, ofProxy := strings.CutSuffix(name, proxySuffix)
	pod, err := c.find(ctx, bare)
	switch {
	case err != nil:
		return nil, err
	case ofProxy && pod.AppAddress == "":
		return nil, fmt.Errorf("pod %s: has no proxy", pod.Name)
	case ofProxy:
		return []source{{pod.Name + proxySuffix, pod.Namespace, pod.Name, proxyContainer}}, nil
	}
	return []source{{pod.Name, pod.Namespace, pod.Name, ""}}, nil
}

// allSources returns the logs of all pods or, of the whole mesh, those of their proxies and of its own parts.
func (c *Client) allSources(ctx context.Context, ofMesh bool) ([]source, error) {
	pods, err := c.Pods(ctx)
	if err != nil {
		return nil, err
	}
	var found []source
	for _, pod := range pods {
		switch {
		case !ofMesh:
			found = append(found, source{pod.Name, pod.Namespace, pod.Name, ""})
		case pod.AppAddress != "":
			found = append(found, source{pod.Name + proxySuffix, pod.Namespace, pod.Name, proxyContainer})
		}
	}
	if !ofMesh {
		return found, nil
	}
	for _, part := range []string{istiodLog, gatewayLog} {
		more, err := c.meshSources(ctx, part)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// meshSources returns the logs of the pods of a part of the mesh. That of a revision's istiod has its name.
func (c *Client) meshSources(ctx context.Context, app string) ([]source, error) {
	pods, err := c.list(ctx, istioNamespace, ofApp+app)
	var found []source
	for i := range pods {
		name := app
		if revision := pods[i].Labels[manifest.RevisionLabel]; app == istiodLog && revision != "" {
			name = kube.ControlPlane(revision)
		}
		found = append(found, source{name, istioNamespace, pods[i].Name, appOrProxy(&pods[i])})
	}
	return found, err
}

// appOrProxy returns the name of the container of a part of the mesh: a gateway's is its proxy.
func appOrProxy(p *corev1.Pod) string {
	if slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Name == "discovery" }) {
		return "discovery"
	}
	return p.Spec.Containers[0].Name
}

// copyLog writes a log, line by line. The first container is the program's, as the manifests have it.
func (c *Client) copyLog(ctx context.Context, s source, prefix string, o local.LogOptions, out *local.LineWriter) error {
	if s.container == "" {
		pod, err := c.core.Pods(s.namespace).Get(ctx, s.pod, metav1.GetOptions{})
		if err != nil {
			return c.about("pod "+s.pod, err)
		}
		s.container = appContainer(pod).Name
	}
	options := &corev1.PodLogOptions{Container: s.container, Follow: o.Follow}
	if o.TailLines != nil {
		options.TailLines = new(int64(*o.TailLines))
	}
	if !o.Since.IsZero() {
		options.SinceTime = new(metav1.NewTime(o.Since))
	}
	stream, err := c.core.Pods(s.namespace).GetLogs(s.pod, options).Stream(ctx)
	if err != nil {
		return c.about("log of "+s.name, err)
	}
	defer stream.Close()
	reader := bufio.NewReaderSize(stream, 64<<10)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			if err := out.Write(prefix, append(bytes.TrimSuffix(line, []byte("\n")), '\n')); err != nil { // the last one may have none
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return c.about("log of "+s.name, err)
		}
	}
}
