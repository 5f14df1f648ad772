package scenario

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"fleetman.example/lab/manifest"
)

// CheckAgainst returns an error, of one line, when a promise uses a workload, Service, node port or object
// that the scenario's manifests do not have.
func (f *File) CheckAgainst(objects *manifest.Objects) error {
	if err := each("promises", f.Promises, fleetOf(objects).check); err != nil {
		return fmt.Errorf("%s: %w", f.Source, err)
	}
	return nil
}

// fleet has the names that a promise may use.
type fleet struct {
	workloads, services, objects []string
	nodePorts                    []int
	rules, sidecars, ingress     bool
}

func fleetOf(objects *manifest.Objects) fleet {
	var f fleet
	for _, object := range objects.All {
		switch typed := object.Typed.(type) {
		case *appsv1.Deployment:
			f.workloads = append(f.workloads, typed.Name)
			f.sidecars = f.sidecars || objects.Revision(object.Namespace, &typed.Spec.Template) != ""
		case *corev1.Service:
			f.services = append(f.services, typed.Name)
			for _, port := range typed.Spec.Ports {
				f.nodePorts = append(f.nodePorts, int(port.NodePort))
			}
		case nil:
			if object.IsRule() {
				f.rules = true
				f.objects = append(f.objects, object.Ref())
				f.ingress = f.ingress || object.Kind == "Gateway" && strings.HasPrefix(object.APIVersion, "networking.istio.io/")
			}
		}
	}
	slices.Sort(f.workloads)
	return f
}

func (f fleet) check(p *Promise) error {
	return cmp.Or(f.settings(".given.set", p.Given.Set), each(".checks", p.Checks, f.checkOne), f.control(&p.Control))
}

func (f fleet) checkOne(c *Check) error {
	return cmp.Or(
		f.origin(&c.Requests),
		each(".actions", c.Actions, func(a *Action) error { return f.workload(".workload", a.Workload) }),
		each(".expect", c.Expect, f.expect))
}

func (f fleet) origin(r *Requests) error {
	host, _, _ := net.SplitHostPort(r.To) // valid: Validate has checked it
	name, _, _ := strings.Cut(host, ".")
	switch {
	case r.From.Ingress:
		return must(f.ingress, ".requests.from: ingress: must be nodePort or workload when the manifests have no Gateway")
	case r.From.NodePort != 0:
		return must(slices.Contains(f.nodePorts, r.From.NodePort), ".requests.from: nodePort:%d: must be a node port of a Service of the manifests", r.From.NodePort)
	}
	return cmp.Or(
		f.workload(".requests.from", r.From.Workload),
		must(slices.Contains(f.services, name), ".requests.to: %s: must be a Service of the manifests", name))
}

// expect checks the workloads of an expectation.
func (f fleet) expect(e *Expect) error {
	switch {
	case e.Received != nil:
		return cmp.Or(
			f.workload(".received.by", e.Received.By...),
			must(e.Received.Identity == nil || f.sidecars, ".received.identity: must be unset when the manifests have no sidecars"))
	case e.Proxies != nil:
		of := slices.DeleteFunc(slices.Clone(e.Proxies.Of), func(name string) bool { return name == IngressGateway && f.ingress })
		return cmp.Or(must(f.sidecars, ".proxies: must be unset when the manifests have no sidecars"), f.workload(".proxies.of", of...))
	}
	return nil
}

// IngressGateway is the Deployment of the ingress gateway, which an installation of Istio makes.
const IngressGateway = "istio-ingressgateway"

func (f fleet) workload(where string, names ...string) error {
	for _, name := range names {
		if !slices.Contains(f.workloads, name) {
			return fmt.Errorf("%s: %q: must be a Deployment of the manifests: %s", where, name, strings.Join(f.workloads, ", "))
		}
	}
	return nil
}

func (f fleet) settings(where string, set []Setting) error {
	return each(where, set, func(s *Setting) error { return f.workload("", s.Target) })
}

func (f fleet) control(c *Control) error {
	return cmp.Or(
		each(".control.without", c.Without, func(what *string) error {
			there := *what == "rules" && f.rules || *what == "sidecars" && f.sidecars || slices.Contains(f.objects, *what)
			return must(there, ": %s: must be in the manifests", *what)
		}),
		f.settings(".control.set", c.Set))
}
