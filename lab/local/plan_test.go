package local

import (
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"fleetman.example/lab/manifest"
	"fleetman.example/lab/wants"
)

// rootHost may listen on every port, userHost on those from 1024.
var (
	rootHost = host{freePort: func(netip.Addr, int) (int, error) { return 0, fmt.Errorf("not asked for") }}
	userHost = host{firstUnprivileged: 1024, freePort: func(_ netip.Addr, wanted int) (int, error) { return wanted, nil }}
)

func load(t *testing.T, paths ...string) *manifest.Objects {
	t.Helper()
	objects, err := manifest.Load(paths...)
	require.NoError(t, err)
	return objects
}

func decode(t *testing.T, text string) *manifest.Objects {
	t.Helper()
	objects, err := manifest.Decode("test.yaml", []byte(text))
	require.NoError(t, err)
	all := &manifest.Objects{}
	for _, object := range objects {
		if object.LeftOut != "" {
			all.LeftOut = append(all.LeftOut, object)
		} else {
			all.All = append(all.All, object)
		}
	}
	return all
}

func mustPlan(t *testing.T, objects *manifest.Objects, o Options, h host) *plan {
	t.Helper()
	p, err := makePlan(objects, o.WithDefaults(), sixPrograms, h)
	require.NoError(t, err)
	return p
}

func TestPlanPublished(t *testing.T) {
	p := mustPlan(t, load(t, "testdata/published"), Options{}, userHost)
	var got []string
	for _, pod := range p.pods {
		got = append(got, fmt.Sprintf("%s %s %s %d %d/%d %s", pod.Name, pod.IP, pod.program, pod.listen, pod.want, pod.admin, pod.variant))
	}
	want := []string{
		"position-simulator-0 127.0.1.1 position-simulator 0 0/9090 ",
		"position-tracker-0 127.0.1.2 position-tracker 8080 8080/9090 ",
		"api-gateway-0 127.0.1.3 api-gateway 8080 8080/9090 ",
		"webapp-0 127.0.1.4 webapp 10080 80/9090 ",
		"webapp-experimental-0 127.0.1.5 webapp 10080 80/9090 experimental",
		"vehicle-telemetry-0 127.0.1.6 vehicle-telemetry 8080 8080/9090 ",
		"staff-service-0 127.0.1.7 staff-service 8080 8080/9090 ",
		"staff-service-risky-version-0 127.0.1.8 staff-service 8080 8080/9090 bad",
	}
	assert.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"), "pods")
	wantNotes := []string{
		"not applied here: DestinationRule grouping-rules-for-our-photograph-canary-release; PeerAuthentication istio-system/default; VirtualService a-set-of-routing-rules-we-can-call-this-anything",
		"command and args not applied, an image stands for its program here: position-simulator, position-tracker, api-gateway",
	}
	assert.Equal(t, wantNotes, p.notes, "notes")
	webapp := p.pods[3]
	assert.Equal(t, []portPair{{from: 80, to: 10080}}, webapp.forwards, "the page's forwards")
	assert.Equal(t, []string{"127.0.1.4:10080", "production-microservice"}, []string{webapp.env["LISTEN_ADDR"], webapp.env["SPRING_PROFILES_ACTIVE"]}, "the page's variables")
	assert.True(t, webapp.readiness == nil && webapp.grace == 30*time.Second, "the page's pod is %+v", webapp)
	node := p.services[slices.IndexFunc(p.services, func(s servicePlan) bool { return s.name == "fleetman-webapp" })].nodePorts[0]
	assert.Equal(t, []int{30080, 10080}, []int{node.port, node.target(webapp)}, "NodePort, and where it leads")
}

func TestPlanBase(t *testing.T) {
	o := Options{
		Set: []Setting{{"staff-service", "VARIANT", "bad"}, {"fleetman-webapp", "LISTEN_ADDR", "0.0.0.0:80"}}, Replicas: map[string]int{"staff-service": 2, "position-simulator": 0},
	}
	p := mustPlan(t, load(t, "../../k8s/base"), o, rootHost)
	var got []string
	for _, pod := range p.pods {
		got = append(got, fmt.Sprintf("%s %s %s %s", pod.Name, pod.env["LISTEN_ADDR"], pod.env["ADMIN_ADDR"], pod.variant))
	}
	want := []string{
		"position-tracker-0 127.0.1.1:8080 127.0.1.1:9090 ",
		"vehicle-telemetry-0 127.0.1.2:8080 127.0.1.2:9090 ",
		"staff-service-0 127.0.1.3:8080 127.0.1.3:9090 bad",
		"staff-service-1 127.0.1.4:8080 127.0.1.4:9090 bad",
		"api-gateway-0 127.0.1.5:8080 127.0.1.5:9090 ",
		"webapp-0 127.0.1.6:80 127.0.1.6:9090 ",
	}
	assert.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"), "pods")
	staff := p.pods[2]
	assert.True(t, staff.readiness.period == 2*time.Second && staff.readiness.failures == 2 && staff.liveness.period == 5*time.Second &&
		staff.preStop == 3*time.Second && staff.grace == 75*time.Second, "probes %+v %+v, preStop %v, grace %v", staff.readiness, staff.liveness, staff.preStop, staff.grace)
	assert.Equal(t, []string{"api-gateway", "position-tracker", "staff-service", "vehicle-telemetry", "webapp"}, programsOf(p.pods), "programs")
}

// TestPlanChapter: a published directory carries Istio's installation and an image
// that fleetman has no program for; the rest runs, and a line tells what does not.
func TestPlanChapter(t *testing.T) {
	notes := mustPlan(t, load(t, "testdata/chapter"), Options{}, userHost).notes
	want := []string{
		"testdata/chapter/9-label-target-istio-version.yaml: Namespace default: replaces the one of testdata/chapter/4-label-default-namespace.yaml",
		"left out: 8 objects of testdata/chapter/1-istio-init.yaml, testdata/chapter/2-istio-minikube.yaml: part of an Istio installation, and fleetman runs an istiod of its own",
		`left out: testdata/chapter/5-application-full-stack.yaml: Deployment photo-service: image "richardchesterwood/istio-fleetman-photo-service:5-arm64": no program photo-service here`,
		"selects no pod: Service fleetman-photo-service (app=photo-service)",
	}
	assert.Equal(t, want, notes, "notes")
}

// TestPublishedTags: warmup-exercise, for both architectures, and no_header_propagation_demo are the fleet with
// other tags, and the first has a photo-service.
func TestPublishedTags(t *testing.T) {
	workloads, err := os.ReadFile("testdata/published/workloads.yaml")
	require.NoError(t, err)
	chapter, err := os.ReadFile("testdata/chapter/5-application-full-stack.yaml")
	require.NoError(t, err)
	_, photos, _ := strings.Cut(string(chapter), "---\n")
	image := regexp.MustCompile(`(istio-fleetman-[a-z-]+):[a-z0-9-]+`)
	const withoutCommand = "command and args not applied, an image stands for its program here: position-simulator, position-tracker, api-gateway"
	warmUp := func(tag string) []string {
		return []string{
			fmt.Sprintf(`left out: test.yaml: Deployment photo-service: image "richardchesterwood/istio-fleetman-photo-service:%s": no program photo-service here`, tag),
			withoutCommand,
			"selects no pod: Service fleetman-photo-service (app=photo-service)",
		}
	}
	for _, test := range []struct {
		name, tag, more string
		variant         string // of every pod but the page's
		notes           []string
	}{
		{"warmup-exercise", "5", photos, "", warmUp("5")},
		{"arm64/warmup-exercise", "5-arm64", photos, "", warmUp("5-arm64")},
		{"no_header_propagation_demo", "6-no-header-propagation", "", "no-header-propagation", []string{withoutCommand}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := image.ReplaceAllString(string(workloads)+"\n---\n"+test.more, "${1}:"+test.tag)
			text = strings.ReplaceAll(text, "webapp-angular:6-no-header-propagation", "webapp-angular:6")
			p := mustPlan(t, decode(t, text), Options{}, userHost)
			require.Len(t, p.pods, 8, "pods")
			for _, pod := range p.pods {
				want := test.variant
				if pod.program == "webapp" {
					want = ""
				}
				assert.Equal(t, want, pod.variant, pod.Name)
				assert.Equal(t, want != "", pod.env["PROPAGATE_HEADERS"] == "false", "%s does not propagate headers", pod.Name)
			}
			assert.Equal(t, test.notes, p.notes, "notes")
			o := testOptions(t)
			startFleet(t, decode(t, text), o)
			env := envAt(t, podIP(o, 7)+":8080")
			assert.Equal(t, test.variant != "", env["PROPAGATE_HEADERS"] == "false", "staff-service does not propagate headers")
			assert.NotEmpty(t, env["SPRING_PROFILES_ACTIVE"], "SPRING_PROFILES_ACTIVE")
		})
	}
}

//go:embed testdata/staff.yaml
var staff string

// one returns a Deployment and a Service, with more fields of the container, and with ports of the Service.
func one(container, servicePort string) string {
	return strings.NewReplacer(`staff-service:6"`, `staff-service:6"`+container, "ports: []", "ports: ["+servicePort+"]").Replace(staff)
}

func TestPlanPorts(t *testing.T) {
	const at9999 = "Service staff: spec.ports[0].targetPort: 9999: calls fail, as on a cluster: Deployment staff listens on 8080 (LISTEN_ADDR) and 9090 on loopback alone (ADMIN_ADDR)"
	for _, test := range []struct{ name, container, port, want string }{
		{"the program's own", "", "{port: 8080}", "8080 admin 9090 map[8080:8080] []"},
		{"another Service port", "", "{port: 80, targetPort: 8080}", "18080 admin 9090 map[80:18080] [{80 18080}]"},
		{"several Service ports", "", "{port: 80, targetPort: 8080, name: a}, {port: 8080, name: b}", "8080 admin 9090 map[80:8080 8080:8080] [{80 8080}]"},
		{"a named targetPort", ", ports: [{name: a, containerPort: 7000}, {name: web, containerPort: 8080}]", "{port: 80, targetPort: web}", "18080 admin 9090 map[80:18080] [{80 18080}]"},
		{"LISTEN_ADDR", ", env: [{name: LISTEN_ADDR, value: ':8000'}]", "{port: 8000}", "8000 admin 9090 map[8000:8000] []"},
		{"a wrong targetPort", "", "{port: 8080, targetPort: 9999}", "18080 admin 9090 map[8080:1] [] " + at9999},
		{"a container port that the program does not know of", ", ports: [{name: web, containerPort: 9999}]", "{port: 80, targetPort: web}", "18080 admin 9090 map[80:1] [] " + at9999},
		{"the admin port", ", env: [{name: ADMIN_ADDR, value: '0.0.0.0:7777'}]", "{port: 7777, name: a}, {port: 8080, name: b}", "8080 admin 7777 map[7777:7777 8080:8080] []"},
		{
			"the admin port, on loopback", "", "{port: 9090, name: a}, {port: 8080, name: b}",
			"8080 admin 9090 map[8080:8080 9090:1] [] Service staff: spec.ports[0].targetPort: 9090: calls fail, as on a cluster: Deployment staff listens on 8080 (LISTEN_ADDR) and 9090 on loopback alone (ADMIN_ADDR)",
		},
		{
			"loopback", ", env: [{name: LISTEN_ADDR, value: 'localhost:8080'}]", "{port: 8080}",
			"8080 admin 9090 map[8080:1] [] Service staff: spec.ports[0].targetPort: 8080: calls fail, as on a cluster: Deployment staff listens on 8080 on loopback alone (LISTEN_ADDR) and 9090 on loopback alone (ADMIN_ADDR)",
		},
		{"the pod's own address", ", env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: LISTEN_ADDR, value: '$(IP):8080'}]", "{port: 8080}", "8080 admin 9090 map[8080:8080] []"},
		{"UDP", "", "{port: 53, protocol: UDP, name: a}, {port: 8080, name: b}", "8080 admin 9090 map[8080:8080] [] Service staff: spec.ports[0].protocol: UDP: not applied here: programs listen on TCP"},
		{"no port translation without a cluster IP", "", "{port: 80, targetPort: 8080}], clusterIP: None, x: [", "8080 admin 9090 map[] []"},
		{
			"a probe of a port that nothing listens on", ", readinessProbe: {tcpSocket: {port: 9999}}", "{port: 8080}",
			"8080 admin 9090 map[8080:8080] [] Deployment staff: spec.template.spec.containers[0].readinessProbe: port 9999: fails, as on a cluster: Deployment staff listens on 8080 (LISTEN_ADDR) and 9090 on loopback alone (ADMIN_ADDR)",
		},
		{"an affinity", "", "{port: 8080}], sessionAffinity: ClientIP, x: [", "8080 admin 9090 map[8080:8080] [] Service staff: spec.sessionAffinity: ClientIP: not applied here"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := mustPlan(t, decode(t, strings.Replace(one(test.container, test.port), ", x: []", "", 1)), Options{}, userHost)
			pod := p.pods[0]
			got := fmt.Sprintf("%d admin %d %v %v %s", pod.listen, pod.admin, pod.ports, pod.forwards, strings.Join(p.notes, "; "))
			assert.Equal(t, test.want, strings.TrimSpace(got), "ports")
		})
	}
}

// TestPlanWithoutService: a pod that no Service selects listens on its own
// address too.
func TestPlanWithoutService(t *testing.T) {
	text, _, _ := strings.Cut(one("", "{port: 8080}"), "---")
	p := mustPlan(t, decode(t, text), Options{Replicas: map[string]int{"staff": 2}}, userHost)
	assert.Equal(t, []string{"127.0.1.1:8080", "127.0.1.2:8080"}, []string{p.pods[0].env["LISTEN_ADDR"], p.pods[1].env["LISTEN_ADDR"]}, "LISTEN_ADDR")
	assert.Equal(t, []string{"not in the manifests, and a cluster must have it: ServiceAccount clerk"}, p.notes, "notes")
}

// TestDefaultPorts holds the programs' ports against the services' READMEs.
func TestDefaultPorts(t *testing.T) {
	for _, program := range sixPrograms {
		text, err := os.ReadFile("../../services/" + program + "/README.md")
		require.NoError(t, err)
		want := 0
		if found := regexp.MustCompile("`LISTEN_ADDR` \\| `:([0-9]+)`").FindSubmatch(text); found != nil {
			want, _ = strconv.Atoi(string(found[1]))
		}
		assert.Equal(t, want, defaultPort(program), "port of "+program)
	}
}

// TestUnknownVariables: a misspelled variable is an error where the program's are known, and else a note.
func TestUnknownVariables(t *testing.T) {
	objects := decode(t, one(", env: [{name: OWN, value: a}]", "{port: 8080}"))
	for _, o := range []Options{{}, {Bin: "ready-made"}} {
		o.Set = []Setting{{"staff", "OWN", "b"}, {"staff", "VARIANT", "bad"}, {"", "FLEET_SIZE", "7"}}
		assert.Empty(t, mustPlan(t, objects, o, rootHost).notes, "notes")
	}
	o := Options{Set: []Setting{{"staff", "VARIAN", "bad"}}}
	_, err := makePlan(objects, o.WithDefaults(), sixPrograms, rootHost)
	wants.Error(t, "a misspelled variable", err, `--set staff: "VARIAN": must be a variable of staff-service: did you mean VARIANT?`)
	o.Bin = "ready-made" // may have another program by the name
	assert.Equal(t, []string{`staff: "VARIAN": is not in the manifests, and the variables of the program are not known: did you mean VARIANT?`}, mustPlan(t, objects, o, rootHost).notes, "notes")
}

func TestPlanEnvironment(t *testing.T) {
	container := `, envFrom: [{prefix: C_, configMapRef: {name: settings}}, {secretRef: {name: none, optional: true}}], env: [
  {name: A, value: "a $(C_SEED) $(UNKNOWN) $$(C_SEED) 5$"},
  {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}},
  {name: SPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}},
  {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}},
  {name: ACCOUNT, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}},
  {name: VERSION, valueFrom: {fieldRef: {fieldPath: "metadata.labels['version']"}}},
  {name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['note']"}}},
  {name: URL, valueFrom: {configMapKeyRef: {name: settings, key: A_URL}}},
  {name: TOKEN, valueFrom: {secretKeyRef: {name: hidden, key: TOKEN}}},
  {name: OTHER, valueFrom: {secretKeyRef: {name: hidden, key: OTHER}}},
  {name: GONE, valueFrom: {secretKeyRef: {name: hidden, key: GONE, optional: true}}},
  {name: VARIANT, value: standard}]`
	o := Options{State: "/state", Set: []Setting{{"staff", "A", "set"}, {"staff-service", "PHOTO_BASE_URL", "x=y"}}}
	pod := mustPlan(t, decode(t, strings.Replace(one(container, "{port: 8080}"), ":6\"", ":6-bad\"", 1)), o, rootHost).pods[0]
	launcher := []string{"PATH=/bin", "HOME=/home/me", "SECRET=not for pods", "OTEL_TRACES_EXPORTER=otlp", "HOSTNAME=mine"}
	got := pod.processEnv(launcher)
	want := []string{
		"A=set", "ACCOUNT=clerk", "ADMIN_ADDR=127.0.1.1:9090", "C_A_URL=http://a", "C_SEED=7", "HOME=/home/me", "HOSTNAME=staff-0",
		"HOSTS_FILE=/state/hosts", "IP=127.0.1.1", "LISTEN_ADDR=127.0.1.1:8080", "NOTE=hello", "OTEL_TRACES_EXPORTER=otlp", "OTHER=plain",
		"PATH=/bin", "PHOTO_BASE_URL=x=y", "POD=staff-0", "SPACE=default", "TOKEN=secret", "URL=http://a", "VARIANT=standard", "VERSION=safe",
	}
	assert.Equal(t, want, got, "environment")
}

func TestExpand(t *testing.T) {
	env := map[string]string{"A": "1", "B": "$(A)"}
	for value, want := range map[string]string{
		"": "", "plain": "plain", "$(A)": "1", "x$(A)y$(A)": "x1y1", "$(B)": "$(A)", "$(C)": "$(C)", "$$(A)": "$(A)", "$A $": "$A $", "$(A": "$(A", "$$$(A)": "$1",
	} {
		assert.Equal(t, want, expand(value, env), value)
	}
}

func TestPlanBadInput(t *testing.T) {
	good := one("", "{port: 8080}")
	for _, test := range []struct {
		name, text string
		o          Options
		want       string
	}{
		{"no Deployment", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}", Options{}, "no Deployment to run in the manifests, which have Namespace a"},
		{"a StatefulSet alone", "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}", Options{}, "no Deployment to run in the manifests, which have StatefulSet a"},
		{
			"an installation alone", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: istiod, namespace: istio-system}",
			Options{},
			"no Deployment to run in the manifests; left out: Deployment istio-system/istiod of test.yaml: part of an Istio installation, and fleetman runs an istiod of its own",
		},
		{"an unknown image", strings.Replace(good, "fleetman/staff-service:6", "nginx:1", 1), Options{}, `test.yaml: Deployment staff: spec.template.spec.containers[0].image: "nginx:1": must be fleetman/NAME or richardchesterwood/istio-fleetman-NAME, NAME one of api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`},
		{"no container", strings.Replace(good, `{name: staff, image: "fleetman/staff-service:6"}`, "", 1), Options{}, "test.yaml: Deployment staff: spec.template.spec.containers: 0: must be 1: a pod is one process here"},
		{"no image", strings.Replace(good, `, image: "fleetman/staff-service:6"`, "", 1), Options{}, `test.yaml: Deployment staff: spec.template.spec.containers[0].image: "": must be fleetman/NAME or richardchesterwood/istio-fleetman-NAME, NAME one of api-gateway, position-simulator, position-tracker, staff-service, vehicle-telemetry, webapp`},
		{"two containers", one("}, {name: other, image: \"fleetman/webapp:6\"", "{port: 8080}"), Options{}, "test.yaml: Deployment staff: spec.template.spec.containers: 2: must be 1: a pod is one process here"},
		{"a port of no name", one("", "{port: 80, targetPort: web}"), Options{}, `test.yaml: Deployment staff: Service staff: spec.ports[0].targetPort: "web": must be the name of a port of container staff`},
		{"one port to two", one("", "{name: a, port: 80, targetPort: 8080}, {name: b, port: 80, targetPort: 8081}"), Options{}, "test.yaml: Deployment staff: Service staff: spec.ports[1].targetPort: 8081: must be 8080, as for port 80 in another Service of the same pods: they have one address here"},
		{"a strange LISTEN_ADDR", one(", env: [{name: LISTEN_ADDR, value: '8080'}]", "{port: 8080}"), Options{}, `test.yaml: Deployment staff: LISTEN_ADDR: "8080": must be :PORT or HOST:PORT, such as :8080`},
		{"a strange ADMIN_ADDR", one(", env: [{name: ADMIN_ADDR, value: ':0x1'}]", "{port: 8080}"), Options{}, `test.yaml: Deployment staff: ADMIN_ADDR: ":0x1": must be :PORT or HOST:PORT, such as :8080`},
		{"an exec probe", one(", readinessProbe: {exec: {command: [a]}}", "{port: 8080}"), Options{}, "test.yaml: Deployment staff: spec.template.spec.containers[0].readinessProbe: must be httpGet or tcpSocket: exec and grpc are not applied to a process"},
		{"a probe at a port of no name", one(", livenessProbe: {tcpSocket: {port: a}}", "{port: 8080}"), Options{}, `test.yaml: Deployment staff: spec.template.spec.containers[0].livenessProbe: tcpSocket.port: "a": must be the name of a port of container staff`},
		{"a probe of no port", one(", livenessProbe: {httpGet: {path: /}}", "{port: 8080}"), Options{}, `test.yaml: Deployment staff: spec.template.spec.containers[0].livenessProbe: httpGet.port: 0: must be between 1 and 65535`},
		{"a probe by TLS", one(", startupProbe: {httpGet: {port: 1, scheme: HTTPS}}", "{port: 8080}"), Options{}, `test.yaml: Deployment staff: spec.template.spec.containers[0].startupProbe: httpGet.scheme: "HTTPS": must be HTTP`},
		{"a field that a pod does not have", one(", env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.x}}}]", "{port: 8080}"), Options{}, `test.yaml: Deployment staff: env[0] A: fieldRef: "spec.x": must be metadata.name, metadata.namespace, metadata.labels['KEY'], metadata.annotations['KEY'], status.podIP, status.hostIP, spec.nodeName or spec.serviceAccountName`},
		{"a key that is not there", one(", env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: x}}}]", "{port: 8080}"), Options{}, `test.yaml: Deployment staff: env[0] A: "x": must be a key of ConfigMap settings in the manifests`},
		{"a ConfigMap that is not there", one(", envFrom: [{configMapRef: {name: x}}]", "{port: 8080}"), Options{}, "test.yaml: Deployment staff: envFrom[0]: ConfigMap x: must be in the manifests"},
		{"a resource", one(", env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]", "{port: 8080}"), Options{}, "test.yaml: Deployment staff: env[0] A: valueFrom: must be fieldRef, configMapKeyRef or secretKeyRef"},
		{"a setting for nobody", good, Options{Set: []Setting{{"stuff", "A", "1"}}}, `--set "stuff": must be a Deployment of the manifests: staff`},
		{"a setting without a name", good, Options{Set: []Setting{{"staff", "A B", "1"}}}, `--set staff: "A B": must be the name of a variable, and its value without NUL`},
		{"replicas of nobody", good, Options{Replicas: map[string]int{"stuff": 2}}, `--replicas "stuff": must be a Deployment of the manifests: staff`},
		{"too many", good, Options{Replicas: map[string]int{"staff": 255}, Network: netip.MustParsePrefix("127.0.1.0/29")}, "--network 127.0.1.0/29: too few addresses: must have one for each pod"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := makePlan(decode(t, test.text), test.o.WithDefaults(), sixPrograms, rootHost)
			wants.Error(t, test.name, err, test.want)
		})
	}
}

// A Service that selects no pod has a note. It is no error, because on a cluster the pods may be created
// later.
func TestServiceWithoutPods(t *testing.T) {
	text := strings.Replace(one("", "{port: 8080}"), "selector: {app: staff}", "selector: {app: stuff}", 1)
	notes := mustPlan(t, decode(t, text), Options{}, rootHost).notes
	assert.Equal(t, []string{"selects no pod: Service staff (app=stuff)"}, notes, "notes")
}

func TestReplicasOfAmbiguousProgram(t *testing.T) {
	text := strings.ReplaceAll(one("", "{port: 8080}"), "name: staff}", "name: staff-a}")
	text += "---\n" + strings.ReplaceAll(strings.SplitN(text, "---", 2)[0], "staff-a", "staff-b")
	_, err := makePlan(decode(t, text), Options{Replicas: map[string]int{"staff-service": 2}}.WithDefaults(), sixPrograms, rootHost)
	wants.Error(t, "replicas", err, "--replicas staff-service: a program of several Deployments: must be one of them, such as staff-a or staff-b")
}

// TestLeftOut checks the kinds that have an effect with a mesh alone.
func TestLeftOut(t *testing.T) {
	objects := load(t, "testdata/leftout.yaml")
	assert.Nil(t, LeftOut(objects, true), "with a mesh")
	assert.Equal(t, []string{"not applied here: ConfigMap istio-system/fleetman-mesh; DestinationRule rule; Service out, bare"}, LeftOut(objects, false), "without a mesh")
}

// TestPlanRevision checks that a pod is another one under another revision, and that a label which is no revision's
// name is an error.
func TestPlanRevision(t *testing.T) {
	under := func(labels string) *manifest.Objects {
		return decode(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {"+labels+"}}\n---\n"+service("a", 1, 0, ""))
	}
	before := mustPlan(t, under("istio-injection: enabled"), Options{Mesh: true}, userHost)
	after := mustPlan(t, under("istio.io/rev: next"), Options{Mesh: true}, userHost)
	assert.Equal(t, []string{"default", "next"}, []string{before.pods[0].Revision, after.pods[0].Revision}, "revisions")
	assert.False(t, before.pods[0].equal(after.pods[0]), "a pod under another revision is the same")
	again := mustPlan(t, under("istio.io/rev: next"), Options{Mesh: true}, userHost)
	assert.True(t, again.pods[0].equal(after.pods[0]), "a pod under the same revision is the same")
	without := mustPlan(t, under("istio.io/rev: next"), Options{}, userHost).pods[0]
	assert.Equal(t, []any{"", false}, []any{without.Revision, without.Proxied}, "revision and proxy without a mesh")
	_, err := makePlan(under("istio.io/rev: Next_1"), Options{Mesh: true}.WithDefaults(), sixPrograms, userHost)
	wants.Error(t, "a revision", err, `test.yaml: Deployment a: istio.io/rev: "Next_1": must be a revision, of lower-case letters, digits and dashes`)
}
