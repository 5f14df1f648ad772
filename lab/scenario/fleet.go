package scenario

import (
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
	fleet := fleetOf(objects)
	for i, p := range f.Promises {
		if err := fleet.check(&p); err != nil {
			return fmt.Errorf("%s: promises[%d]%w", f.Source, i, err)
		}
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
	if err := f.settings(".given", p.Given.Set); err != nil {
		return err
	}
	for i, c := range p.Checks {
		where := fmt.Sprintf(".checks[%d]", i)
		if err := f.origin(where+".requests", &c.Requests); err != nil {
			return err
		}
		for j, a := range c.Actions {
			if err := f.workload(fmt.Sprintf("%s.actions[%d].workload", where, j), a.Workload); err != nil {
				return err
			}
		}
		for j, e := range c.Expect {
			if e.Proxies != nil {
				if err := f.proxies(fmt.Sprintf("%s.expect[%d].proxies", where, j), e.Proxies); err != nil {
					return err
				}
			}
			if e.Received == nil {
				continue
			}
			where := fmt.Sprintf("%s.expect[%d].received", where, j)
			for _, by := range e.Received.By {
				if err := f.workload(where+".by", by); err != nil {
					return err
				}
			}
			if e.Received.Identity != nil && !f.sidecars {
				return fmt.Errorf("%s.identity: must be unset when the manifests have no sidecars", where)
			}
		}
	}
	return f.control(&p.Control)
}

func (f fleet) origin(where string, r *Requests) error {
	switch {
	case r.From.Ingress && !f.ingress:
		return fmt.Errorf("%s.from: ingress: must be nodePort or workload when the manifests have no Gateway", where)
	case r.From.NodePort != 0 && !slices.Contains(f.nodePorts, r.From.NodePort):
		return fmt.Errorf("%s.from: nodePort:%d: must be a node port of a Service of the manifests", where, r.From.NodePort)
	case r.From.Workload == "":
		return nil
	}
	if err := f.workload(where+".from", r.From.Workload); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(r.To) // valid: Validate has checked it
	if name, _, _ := strings.Cut(host, "."); !slices.Contains(f.services, name) {
		return fmt.Errorf("%s.to: %s: must be a Service of the manifests", where, name)
	}
	return nil
}

// proxies checks the workloads of an expectation of proxies.
func (f fleet) proxies(where string, p *Proxies) error {
	if !f.sidecars {
		return fmt.Errorf("%s: must be unset when the manifests have no sidecars", where)
	}
	for _, of := range p.Of {
		if of == IngressGateway && f.ingress {
			continue
		}
		if err := f.workload(where+".of", of); err != nil {
			return err
		}
	}
	return nil
}

// IngressGateway is the Deployment of the ingress gateway, which an installation of Istio makes.
const IngressGateway = "istio-ingressgateway"

func (f fleet) workload(where, name string) error {
	if !slices.Contains(f.workloads, name) {
		return fmt.Errorf("%s: %q: must be a Deployment of the manifests: %s", where, name, strings.Join(f.workloads, ", "))
	}
	return nil
}

func (f fleet) settings(where string, set []Setting) error {
	for i, s := range set {
		if err := f.workload(fmt.Sprintf("%s.set[%d]", where, i), s.Target); err != nil {
			return err
		}
	}
	return nil
}

func (f fleet) control(c *Control) error {
	for i, what := range c.Without {
		found := slices.Contains(f.objects, what)
		switch what {
		case "rules":
			found = f.rules
		case "sidecars":
			found = f.sidecars
		}
		if !found {
			return fmt.Errorf(".control.without[%d]: %s: must be in the manifests", i, what)
		}
	}
	return f.settings(".control", c.Set)
}
