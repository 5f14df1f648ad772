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
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/mesh/kube"
	"fleetman.example/lab/process"
)

// istiod is Istio's control plane, unmodified, with its ports for this run.
type istiod struct {
	dir                    string
	grpc, http, monitoring netip.AddrPort
	secure                 netip.AddrPort // the same as grpc, with TLS
	log                    *os.File
	client                 http.Client

	supervisor *process.Supervisor
	gaveUp     chan struct{} // closed when the first start failed
}

// newIstiod chooses free ports, for all of the run: proxies come back to them.
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
			return i, fmt.Errorf("istiod: finding a free port: %w", err)
		}
		open = append(open, listener)
		*port = listener.Addr().(*net.TCPAddr).AddrPort()
	}
	if err := os.WriteFile(i.kubeconfig(), kubeconfig, 0o600); err != nil {
		return i, fmt.Errorf("kubeconfig: %w", err)
	}
	if err := os.WriteFile(i.meshConfig(), []byte(config), 0o644); err != nil {
		return i, fmt.Errorf("mesh configuration: %w", err)
	}
	return i, nil
}

func (i *istiod) kubeconfig() string { return filepath.Join(i.dir, "kubeconfig") }
func (i *istiod) meshConfig() string { return filepath.Join(i.dir, "mesh.yaml") }

// meshConfig is what an installation's ConfigMap would say.
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
		panic(err) // maps of strings can always be written
	}
	return string(text)
}

// command keeps out of the proxies what only Istio's own build of Envoy has,
// and out of istiod what is for others to do here: certificates, the choice of
// a leader.
func (i *istiod) command(program string) *exec.Cmd {
	cmd := exec.Command(program, "discovery",
		"--registries=Kubernetes", "--kubeconfig="+i.kubeconfig(), "--meshConfig="+i.meshConfig(), "--networksConfig=/nonexistent",
		"--clusterID=Kubernetes", "--domain=cluster.local",
		"--grpcAddr="+i.grpc.String(), "--secureGRPCAddr=", "--httpsAddr=", "--httpAddr="+i.http.String(),
		"--monitoringAddr="+i.monitoring.String(), "--profile=false",
		// ControlZ, which any user and any page in a browser could end istiod with, cannot be switched
		// off; at an address of nobody's (RFC 5737) it does not start, and istiod goes on without it
		"--ctrlz_address=192.0.2.1",
		"--log_as_json")
	cmd.Dir = i.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + i.dir,
		"PILOT_ENABLE_ALPN_FILTER=false", "PILOT_ENABLE_METADATA_EXCHANGE=false",
		"ENABLE_CA_SERVER=false", "ENABLE_DEBUG_ENDPOINT_AUTH=false", "ENABLE_LEADER_ELECTION=false", "PILOT_CERT_PROVIDER=none",
	}
	return cmd
}

// startIstiod returns when it is ready, and keeps it running from then on.
func (m *Mesh) startIstiod(ctx context.Context) error {
	i := m.istiod
	var err error
	if i.log, err = m.site.OpenLog("istiod"); err != nil {
		return err
	}
	i.gaveUp = make(chan struct{})
	i.supervisor = process.New(process.Config{ // no grace period: it has nothing to lose, and takes its time on SIGTERM
		Start: func() (*process.Process, error) { return i.start(m) }, Changed: func(now process.Status) { i.changed(m, now) },
		Backoff: restartBackoff, Tries: 1,
	})
	m.running.Go(func() {
		defer i.log.Close()
		i.supervisor.Run(m.stopping)
	})
	if err := i.awaitReady(ctx); err != nil {
		return fmt.Errorf("istiod %w; %s", err, lastWords(i.log.Name()))
	}
	i.supervisor.Settle()
	return nil
}

// lastWords say where a log is, and how it ends.
func lastWords(log string) string {
	text := "its log is " + log
	if last := local.LastLines(log, 1); len(last) > 0 {
		text += fmt.Sprintf(", which ends with: %.500s", last[0])
	}
	return text
}

func (i *istiod) start(m *Mesh) (*process.Process, error) {
	cmd := i.command(m.options.Binaries.Pilot.Path)
	cmd.Stdout, cmd.Stderr = i.log, i.log
	return m.site.Spawn(cmd)
}

// restartBackoff is the delay of the second restart in a row of a process of
// the mesh; the first one comes at once.
const restartBackoff = 250 * time.Millisecond

// endTime is what a process of the mesh gets between SIGTERM and SIGKILL.
const endTime = 2 * time.Second

// changed makes events of istiod's restarts. Meanwhile the proxies go on with
// the configuration that they have.
func (i *istiod) changed(m *Mesh, now process.Status) {
	event := local.Event{Time: time.Now(), Pod: "istiod", Restarts: now.Restarts}
	switch {
	case now.State == process.GivenUp:
		close(i.gaveUp)
		return
	case now.State == process.Waiting:
		event.Kind, event.Detail = local.Exited, now.String()+"; the proxies go on with their last configuration"
	case now.State == process.Running && now.Restarts > 0:
		event.Kind, event.Detail = local.Started, fmt.Sprintf("process %d", now.Process.PID())
	default:
		return
	}
	m.site.Event(event)
}

func (i *istiod) awaitReady(ctx context.Context) error {
	for {
		_, err := i.ask(ctx, "/ready")
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

// ask reads a document of istiod's debug interface.
func (i *istiod) ask(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.http.String()+path, nil)
	if err != nil {
		return nil, fmt.Errorf("asking istiod: %w", err)
	}
	response, err := i.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking istiod: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("asking istiod for %s: %w", path, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking istiod for %s: status %d: %.200s", path, response.StatusCode, strings.TrimSpace(string(body)))
	}
	return body, nil
}

func (i *istiod) askJSON(ctx context.Context, path string, into any) error {
	body, err := i.ask(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("reading istiod's %s: %w", path, err)
	}
	return nil
}
