package lint

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/scrape"
)

// Dump is the proof of a finding by what istiod generates for a proxy: the clusters
// of a Service with the manifests as they are, without a field, and repaired.
type Dump struct {
	Finding Finding
	// Written, Without and Repaired are manifests. Repaired is nil when the repair
	// is another field.
	Written, Without, Repaired *manifest.Objects
	// Workload is whose proxy is read.
	Workload, Namespace string
	// Replicas are no pods for the other workloads.
	Replicas map[string]int

	field, host string
}

// Dump returns the proof of the first finding of a rule whose proof is the
// configuration of a proxy, or nil for a rule with another proof.
func (m *Manifests) Dump(name string, o Options) (*Dump, error) {
	if rule := RuleOf(name); rule == nil || !rule.dump {
		return nil, nil
	}
	p, err := m.findings(name, o)
	if err != nil {
		return nil, err
	}
	one := &proving{pass: p, sighting: p.found[0]}
	s := one.host()
	if s == nil || len(s.workloads) == 0 {
		return nil, fmt.Errorf("%s: the Service must be in the manifests", one.finding.Object)
	}
	w := one.caller(s)
	d := &Dump{Finding: one.finding, Written: m.Objects, Workload: w.name, Namespace: w.ns, Replicas: map[string]int{w.name: 1}, field: one.which, host: s.host}
	for _, other := range one.workloads {
		if other != w {
			d.Replicas[other.name] = 0
		}
	}
	if len(one.injected()) > 0 {
		if d.Written, err = changed(d.Written, w.object, change(w.object.at("spec", "template", "metadata", "labels", manifest.InjectPod), "true")); err != nil {
			return nil, err
		}
	}
	if d.Without, err = changed(d.Written, one.at.object, removal(one.at)); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(ignoredFields, func(f ignoredField) bool { return f.name == one.which })
	if value := ignoredFields[i].repaired; value > 0 {
		d.Repaired, err = changed(d.Written, one.at.object, change(one.at, value))
	}
	return d, err
}

// changed returns manifests with one object changed.
func changed(of *manifest.Objects, o *object, change func(map[string]any)) (*manifest.Objects, error) {
	fields := runtime.DeepCopyJSON(o.fields)
	change(fields)
	text, _ := json.Marshal(fields) // which are those of JSON
	found, err := manifest.Decode(o.Source, text)
	if err != nil {
		return nil, err
	}
	objects := *of
	objects.All = slices.Clone(objects.All)
	for i := range objects.All {
		if old := &objects.All[i]; old.Kind == o.Kind && old.Name == o.Name && old.Namespace == o.Namespace {
			found[0].Namespace = old.Namespace
			objects.All[i] = found[0]
		}
	}
	return &objects, nil
}

// Result returns what the clusters show, in one line, and whether that proves the
// finding.
func (d *Dump) Result(written, without, repaired string) (line string, proven bool) {
	line = fmt.Sprintf("as written: the proxy of %s has the same configuration with and without %s", d.Workload, d.field)
	if proven = written == without && written != ""; !proven {
		line = fmt.Sprintf("as written: the proxy of %s has another configuration without %s", d.Workload, d.field)
	}
	switch {
	case d.Repaired == nil:
		line += "; repaired: by another field"
	case repaired == written:
		line, proven = line+"; repaired: the same again", false
	default:
		line += "; repaired: another one"
	}
	return line, proven
}

// Clusters returns what istiod generates for a proxy, as JSON: its outbound
// clusters of the Service.
func (d *Dump) Clusters(ctx context.Context, istiod, pod string) (string, error) {
	all, err := clusters(ctx, istiod, pod+"."+d.Namespace)
	if err != nil {
		return "", err
	}
	var found []string
	for name, text := range all {
		if strings.HasPrefix(name, "outbound|") && strings.HasSuffix(name, "|"+d.host) {
			found = append(found, name+" "+text)
		}
	}
	slices.Sort(found)
	return strings.Join(found, "\n"), nil
}

// noOptions are options of HTTP/1.1 without a value, which change nothing.
const noOptions = `,"typedExtensionProtocolOptions":{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions":{"@type":"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions","commonHttpProtocolOptions":{},"explicitHttpConfig":{"httpProtocolOptions":{}}}}`

// clusters returns the clusters that istiod generates for a proxy, by name.
func clusters(ctx context.Context, istiod, proxy string) (map[string]string, error) {
	status, body, err := scrape.Body(ctx, http.DefaultClient, "http://"+istiod+"/debug/config_dump?proxyID="+url.QueryEscape(proxy))
	if err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", proxy, err)
	}
	var dump struct {
		Configs []struct {
			Clusters []struct {
				Cluster map[string]any `json:"cluster"`
			} `json:"dynamicActiveClusters"`
		} `json:"configs"`
	}
	if err := json.Unmarshal(body, &dump); err != nil {
		return nil, fmt.Errorf("configuration of %s: status %d: %w", proxy, status, err)
	}
	found := map[string]string{}
	for _, config := range dump.Configs {
		for _, c := range config.Clusters {
			delete(c.Cluster, "metadata")
			encoded, _ := json.Marshal(c.Cluster) // which was decoded
			name, _ := c.Cluster["name"].(string)
			found[name] = strings.Replace(string(encoded), noOptions, "", 1)
		}
	}
	return found, nil
}
