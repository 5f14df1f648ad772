package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
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
)

// istiod is the process of an unmodified istiod.
type istiod struct {
	dir                    string
	grpc, http, monitoring netip.AddrPort
	secure                 netip.AddrPort // forwards to grpc, with TLS
	log                    *os.File
	client                 http.Client

	supervisor *process.Supervisor
	gaveUp     chan struct{} // closed when the first start failed
}

// newIstiod writes istiod's configuration and chooses free ports. They stay the same when istiod
// restarts, because proxies reconnect to them.
func newIstiod(dir string, kubeconfig []byte, config string) (*istiod, error) {
	i := &istiod{dir: dir, client: http.Client{Timeout: 5 * time.Second}}
	var open []net.Listener
	defer func() {
		for _, listener := range open {
			listener.Close()
		}
	}()
	for _, port := range []*netip.AddrPort{&i.grpc, &i.http, &i.monitoring} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return i, fmt.Errorf("find a free port for istiod: %w", err)
		}
		open = append(open, listener)
		*port = listener.Addr().(*net.TCPAddr).AddrPort()
	}
	if err := os.WriteFile(i.kubeconfig(), kubeconfig, 0o600); err != nil {
		return i, fmt.Errorf("write istiod's kubeconfig: %w", err)
	}
	if err := os.WriteFile(i.meshConfig(), []byte(config), 0o644); err != nil {
		return i, fmt.Errorf("write istiod's mesh configuration: %w", err)
	}
	return i, nil
}

func (i *istiod) kubeconfig() string { return filepath.Join(i.dir, "kubeconfig") }
func (i *istiod) meshConfig() string { return filepath.Join(i.dir, "mesh.yaml") }

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
		"--registries=Kubernetes", "--kubeconfig="+i.kubeconfig(), "--meshConfig="+i.meshConfig(), "--networksConfig=/nonexistent",
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
		"PILOT_ENABLE_ALPN_FILTER=false", "PILOT_ENABLE_METADATA_EXCHANGE=false",
		"SHARED_MESH_CONFIG=" + manifest.MeshConfigMap,
		// the API is read-only
		"PILOT_ENABLE_GATEWAY_API_STATUS=false", "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER=false", "PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER=false",
		"ENABLE_CA_SERVER=false", "ENABLE_DEBUG_ENDPOINT_AUTH=false", "ENABLE_LEADER_ELECTION=false", "PILOT_CERT_PROVIDER=none",
	}
	return cmd
}

// startIstiod starts istiod and returns when it is ready. From then on istiod is restarted whenever it
// ends, until the mesh stops.
func (m *Mesh) startIstiod(ctx context.Context) error {
	i := m.istiod
	var err error
	if i.log, err = m.site.OpenLog("istiod"); err != nil {
		return err
	}
	i.gaveUp = make(chan struct{})
	i.supervisor = process.New(process.Config{ // no grace period: istiod has no state, and is slow to end on SIGTERM
		Start: func() (*process.Process, error) { return i.start(m) }, Changed: func(now process.Status) { i.changed(m, now) },
		Backoff: restartBackoff, Tries: 1,
	})
	m.running.Go(func() {
		defer i.log.Close()
		i.supervisor.Run(m.stopping)
	})
	if err := i.awaitReady(ctx); err != nil {
		return fmt.Errorf("istiod %w; %s", err, lastLine(i.log.Name()))
	}
	i.supervisor.Settle()
	return nil
}

// lastLine returns a log's path and last line, for an error.
func lastLine(log string) string {
	text := "its log is " + log
	if last := local.LastLines(log, 1); len(last) > 0 {
		text += fmt.Sprintf(", last line: %.500s", last[0])
	}
	return text
}

func (i *istiod) start(m *Mesh) (*process.Process, error) {
	cmd := i.command(m.options.Binaries.Pilot.Path)
	cmd.Stdout, cmd.Stderr = i.log, i.log
	return m.site.Spawn(cmd)
}

// restartBackoff is the delay of a process's second restart in a row. The first restart has none.
const restartBackoff = 250 * time.Millisecond

// endTime is the time between SIGTERM and SIGKILL of a proxy.
const endTime = 2 * time.Second

// changed makes an event of each exit and restart of istiod.
func (i *istiod) changed(m *Mesh, now process.Status) {
	event := local.Event{Time: time.Now(), Pod: "istiod", Restarts: now.Restarts}
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
	m.site.Event(event)
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
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.http.String()+path, nil)
	if err != nil {
		return nil, fmt.Errorf("istiod: %w", err)
	}
	response, err := i.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("istiod: %w", err) // err has the method and the URL
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("get istiod's %s: %w", path, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get istiod's %s: status %d: %.200s", path, response.StatusCode, strings.TrimSpace(string(body)))
	}
	return body, nil
}

func (i *istiod) getJSON(ctx context.Context, path string, into any) error {
	body, err := i.get(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("parse istiod's %s: %w", path, err)
	}
	return nil
}
