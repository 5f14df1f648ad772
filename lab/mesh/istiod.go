package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"fleetman.example/lab/local"
	"fleetman.example/lab/manifest"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/kube"
	"fleetman.example/lab/process"
	"fleetman.example/lab/scrape"
)

// istiod is the process of an unmodified istiod, the control plane of one revision.
type istiod struct {
	mesh                   *Mesh
	revision, name         string
	dir                    string
	grpc, http, monitoring netip.AddrPort
	secure                 net.Listener // forwards to grpc, with TLS
	log                    *os.File
	client                 http.Client

	supervisor *process.Supervisor
	gaveUp     chan struct{} // closed when the first start failed
	stop       context.CancelFunc
	ended      chan struct{} // closed when it has ended for good
}

// newIstiod starts an istiod for a revision. Its ports stay the same when it restarts, because proxies reconnect
// to them.
func (m *Mesh) newIstiod(revision string) (_ *istiod, err error) {
	i := &istiod{
		mesh: m, revision: revision, name: kube.ControlPlane(revision), dir: m.dir(), client: http.Client{Timeout: 5 * time.Second},
		gaveUp: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := i.choosePorts(); err != nil {
		return nil, err
	}
	if err := m.serveSecure(i); err != nil {
		return nil, err
	}
	if i.log, err = m.site.OpenLog(i.name); err != nil {
		i.secure.Close()
		return nil, err
	}
	i.supervisor = process.New(process.Config{ // no grace period: istiod has no state, and is slow to end on SIGTERM
		Start: i.start, Changed: i.changed, Backoff: restartBackoff, Tries: 1,
	})
	running, stop := context.WithCancel(m.stopping)
	i.stop = stop
	m.running.Go(func() {
		defer close(i.ended)
		defer i.log.Close()
		defer i.secure.Close()
		i.supervisor.Run(running)
	})
	return i, nil
}

// end ends istiod for good.
func (i *istiod) end() {
	i.stop()
	<-i.ended
}

// choosePorts chooses free ports.
func (i *istiod) choosePorts() error {
	var open []net.Listener
	defer func() {
		for _, listener := range open {
			listener.Close()
		}
	}()
	for _, port := range []*netip.AddrPort{&i.grpc, &i.http, &i.monitoring} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("find a free port for %s: %w", i.name, err)
		}
		open = append(open, listener)
		*port = listener.Addr().(*net.TCPAddr).AddrPort()
	}
	return nil
}

// configureIstiod writes the files that all istiods read.
func (m *Mesh) configureIstiod(kubeconfig []byte) error {
	if err := os.WriteFile(Kubeconfig(m.site.State), kubeconfig, 0o600); err != nil {
		return fmt.Errorf("write istiod's kubeconfig: %w", err)
	}
	if err := os.WriteFile(filepath.Join(m.dir(), meshConfigFile), []byte(meshConfig(m.collector)), 0o644); err != nil {
		return fmt.Errorf("write istiod's mesh configuration: %w", err)
	}
	return nil
}

const meshConfigFile = "mesh.yaml"

// meshConfig returns the mesh configuration, in YAML, that an installation has in a ConfigMap.
func meshConfig(collector *kube.Collector) string {
	config := map[string]any{
		"rootNamespace":         kube.RootNamespace,
		"ingressControllerMode": "OFF",
		"enableAutoMtls":        true,
		"enableTracing":         collector != nil,
		"accessLogFile":         "/dev/stdout",
		"accessLogEncoding":     "JSON",
		"accessLogFormat":       envoy.AccessLogFormat(),
	}
	if collector != nil {
		collector.MeshConfig(config)
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		panic(err) // impossible for maps of strings
	}
	return string(text)
}

// command returns istiod's command. It disables the filters that only Istio's own build of Envoy has,
// and istiod's certificate authority and leader election, which nothing needs here.
func (i *istiod) command(program string) *exec.Cmd {
	cmd := exec.Command(program, "discovery",
		"--registries=Kubernetes", "--kubeconfig=kubeconfig", "--meshConfig="+meshConfigFile, "--networksConfig=/nonexistent",
		"--clusterID=Kubernetes", "--domain=cluster.local",
		"--grpcAddr="+i.grpc.String(), "--secureGRPCAddr=", "--httpsAddr=", "--httpAddr="+i.http.String(),
		"--monitoringAddr="+i.monitoring.String(), "--profile=false",
		// ControlZ cannot be disabled, and with it any user, and any page in a browser, could stop istiod.
		// At an address for documentation (RFC 5737) it fails to listen, and istiod runs without it.
		"--ctrlz_address=192.0.2.1",
		"--log_as_json")
	cmd.Dir = i.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + i.dir,
		"REVISION=" + i.revision, "POD_NAME=" + kube.ControlPlanePod(i.revision), // the second is what istioctl proxy-status shows
		"PILOT_ENABLE_ALPN_FILTER=false", "PILOT_ENABLE_METADATA_EXCHANGE=false",
		"SHARED_MESH_CONFIG=" + manifest.MeshConfigMap,
		// the API is read-only
		"PILOT_ENABLE_GATEWAY_API_STATUS=false", "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER=false", "PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER=false",
		"ENABLE_CA_SERVER=false", "ENABLE_DEBUG_ENDPOINT_AUTH=false", "ENABLE_LEADER_ELECTION=false", "PILOT_CERT_PROVIDER=none",
	}
	return cmd
}

// lastLine returns a log's path and last line, for an error.
func lastLine(log string) string {
	text := "its log is " + log
	if last := local.LastLines(log, 1); len(last) > 0 {
		text += fmt.Sprintf(", last line: %.500s", last[0])
	}
	return text
}

func (i *istiod) start() (*process.Process, error) {
	cmd := i.command(i.mesh.options.Binaries.Pilot.Path)
	cmd.Stdout, cmd.Stderr = i.log, i.log
	return i.mesh.site.Spawn(cmd)
}

// restartBackoff is the delay of a process's second restart in a row. The first restart has none.
const restartBackoff = 250 * time.Millisecond

// endTime is the time between SIGTERM and SIGKILL of a proxy.
const endTime = 2 * time.Second

// changed makes an event of each exit and restart of istiod.
func (i *istiod) changed(now process.Status) {
	event := local.Event{Time: time.Now(), Pod: i.name, Restarts: now.Restarts}
	switch {
	case now.State == process.GivenUp:
		close(i.gaveUp)
		return
	case now.State == process.Waiting:
		event.Kind, event.Detail = local.Exited, now.String()+"; the proxies keep their last configuration"
	case now.State == process.Running && now.Restarts > 0:
		event.Kind, event.Detail = local.Started, fmt.Sprintf("process %d", now.Process.PID())
	default:
		return
	}
	i.mesh.fleet.Note(event)
}

func (i *istiod) awaitReady(ctx context.Context) error {
	for {
		_, err := i.get(ctx, "/ready")
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-i.gaveUp:
			return fmt.Errorf("failed with %s", i.supervisor.Status().Why)
		case <-ctx.Done():
			return fmt.Errorf("is not ready: %w", err)
		}
	}
}

// get returns a document of istiod's debug interface.
func (i *istiod) get(ctx context.Context, path string) ([]byte, error) {
	status, body, err := scrape.Body(ctx, &i.client, "http://"+i.http.String()+path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.name, err) // err has the method and the URL
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("get %s of %s: status %d: %.200s", path, i.name, status, strings.TrimSpace(string(body)))
	}
	return body, nil
}

func (i *istiod) getJSON(ctx context.Context, path string, into any) error {
	body, err := i.get(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("parse %s of %s: %w", path, i.name, err)
	}
	return nil
}
