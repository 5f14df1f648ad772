package compare

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"fleetman.example/lab/environ"
	"fleetman.example/lab/experiment"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/loader"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/mesh/binaries"
	"fleetman.example/lab/mesh/envoy"
	"fleetman.example/lab/process"
	"fleetman.example/lab/record"
)

// machine is this machine as the place of fleets.
type machine struct {
	o     Options
	found binaries.Set
	noted map[string]bool // lines of noteMesh
	built bool
}

func (m *machine) conditions(ctx context.Context) (string, map[string]string) {
	return thisMachine(ctx), versions(ctx, m.o.Root)
}

func (m *machine) repeats(error) bool { return false }
func (m *machine) parallel() bool     { return false } // the arms would share two cores

// mistakes returns what the launcher would refuse of each arm. When there are others, most would be the same.
func (m *machine) mistakes(plans []plan, others bool) (problems experiment.Problems) {
	if others || !m.o.Network.IsValid() || m.o.Root == "" && m.o.Bin == "" {
		return nil // nothing is started
	}
	for _, p := range onePerArm(plans) {
		if p.objects == nil {
			continue
		}
		o := p.options()
		o.Mesh = p.mesh
		if err := local.Check(p.objects, o); err != nil {
			problems = append(problems, p.e.Problem(p.o.field(p.arm), "%s: %v", p.arm.Name, err))
		}
	}
	return problems
}

func (m *machine) overhead(p plan) time.Duration {
	if p.mesh {
		return 6 * time.Second
	}
	return 3 * time.Second
}

func (m *machine) meshPrograms() []string {
	return []string{"istiod " + m.found.Pilot.Version, "envoy " + m.found.Envoy.Version}
}

func (m *machine) ready(ctx context.Context, left []plan) (err error) {
	if err := local.CheckFree(local.Options{Network: m.o.Network}); err != nil {
		return err
	}
	problems, err := m.refused(ctx, left)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(left, func(p plan) bool { return p.mesh }) {
		if m.found, err = m.o.Binaries(ctx); err != nil {
			return err
		}
		more, err := m.invalid(ctx, left)
		if err != nil {
			return err
		}
		problems = append(problems, more...)
	}
	return inOrder(problems)
}

// refused returns the values of variables that the programs of an arm refuse.
func (m *machine) refused(ctx context.Context, left []plan) (problems experiment.Problems, err error) {
	asked := local.Asked{}
	for _, p := range onePerArm(left) {
		refusals, err := asked.Refusals(ctx, p.objects, m.options(p), func(program string) bool { return environ.Of(program) != nil })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.arm.Name, err)
		}
		m.built = true
		for _, r := range refusals {
			if problem := p.refused(r); !slices.Contains(problems, problem) {
				problems = append(problems, problem)
			}
		}
	}
	return problems, nil
}

// refused is the mistake of a variable that a program refuses: of the arm that sets it, or of its manifests.
func (p plan) refused(r local.Refusal) experiment.Problem {
	for _, service := range slices.Backward(slices.Sorted(maps.Keys(p.arm.Env))) { // all comes first
		_, set := p.arm.Env[service][r.Variable]
		if set && (service == experiment.All || bareName(service) == bareName(r.Deployment) || service == r.Program) {
			return p.e.Problem(p.e.Field(p.arm.Of, "env."+service+"."+r.Variable), "%s", strings.TrimPrefix(r.Text, r.Variable+": "))
		}
	}
	return p.e.Problem(p.o.field(p.arm)+".manifests", "%s: %s: %s", p.arm.Name, r.Deployment, r.Text)
}

// invalid returns the arms whose objects Istio refuses.
func (m *machine) invalid(ctx context.Context, left []plan) (problems experiment.Problems, err error) {
	for _, p := range onePerArm(left) {
		if !p.mesh {
			continue
		}
		if err := mesh.Validate(ctx, m.found.Istioctl.Path, p.objects); ctx.Err() != nil {
			return nil, err
		} else if err != nil {
			problems = append(problems, p.e.Problem(p.o.field(p.arm), "%s: %v", p.arm.Name, err))
		}
	}
	return problems, nil
}

// localFleet is a fleet on this machine.
type localFleet struct {
	*local.Fleet
	client faults.Client
	mesh   *mesh.Mesh // nil without
	beside []proxy
	pids   map[string][]int // of the proxies, and in a mesh of all istiods
	noted  []string         // of the mesh
}

func (f *localFleet) admin() *faults.Client          { return &f.client }
func (f *localFleet) proxies() []proxy               { return f.beside }
func (f *localFleet) logDelay() time.Duration        { return logFlush }
func (f *localFleet) controlled() bool               { return len(f.pids[record.ControlPlane]) > 0 }
func (f *localFleet) notes() []string                { return f.noted }
func (f *localFleet) used(time.Time) []record.Sample { return nil }

func (f *localFleet) err(context.Context) error {
	if f.mesh == nil {
		return nil
	}
	return f.mesh.Err() // a rejected update: the manifests were not what was measured
}

// usage returns the CPU seconds and the resident bytes of a pod's process, of a proxy or of all istiods together.
func (f *localFleet) usage(ctx context.Context, name string) ([]record.Count, error) {
	pids, known := f.pids[name]
	if !known {
		pids = []int{f.pid(name)}
	}
	var cpu, memory float64
	for _, pid := range pids {
		of, err := process.UsageOf(ctx, pid)
		if err != nil {
			return nil, err
		}
		cpu, memory = cpu+of.CPU.Seconds(), memory+float64(of.RSS)
	}
	return used(cpu, memory), nil
}

// pid returns the process of a pod, which changes when it restarts.
func (f *localFleet) pid(name string) int {
	for _, pod := range f.Pods() {
		if pod.Name == name {
			return pod.PID
		}
	}
	return 0
}

// localLoad is a load that this process sends.
type localLoad struct {
	plan loader.Plan
	dial loader.Dial
}

func (l localLoad) begin(context.Context) (time.Time, error) { return time.Now(), nil }
func (l localLoad) check() string                            { return l.plan.Check }

func (l localLoad) run(ctx context.Context) ([]loader.Request, error) {
	return l.plan.Run(ctx, l.dial), nil
}

func (f *localFleet) prepare(_ context.Context, r *running, vehicles []string) (_ sending, entry string, err error) {
	l := localLoad{plan: r.load(vehicles)}
	entry, err = f.target(r, &l)
	return l, entry, err
}

// target finds where the load goes, and returns the Deployment that it reaches first. A Service is reached as kube-proxy
// leads there: each connection goes to one of its ready pods.
func (f *localFleet) target(r *running, l *localLoad) (entry string, err error) {
	if r.targetName() == experiment.TargetIngress {
		l.plan.Host, err = f.ingress(r.plan)
		l.dial = new(net.Dialer).DialContext
		return gatewayName, err
	}
	pods, err := r.targets()
	if err != nil {
		return "", err
	}
	if r.e.Load.From != "" {
		return pods[0].Deployment, f.from(r, l, pods[0])
	}
	l.plan.Host = programAddress(pods[0])
	l.dial = r.dialOne(func(string) (found []string, err error) {
		pods, err := r.targets()
		if ready := slices.DeleteFunc(slices.Clone(pods), func(p local.Pod) bool { return !p.Ready }); len(ready) > 0 {
			pods = ready
		}
		for _, pod := range pods {
			found = append(found, programAddress(pod))
		}
		return found, err
	})
	return pods[0].Deployment, nil
}

// dialOne returns a function that connects to one of the addresses that it finds
// for the one of a request. A seed draws the same.
func (p plan) dialOne(find func(address string) ([]string, error)) loader.Dial {
	var mu sync.Mutex
	source := rand.New(rand.NewPCG(p.seed, 0))
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		found, err := find(address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		n := source.IntN(len(found))
		mu.Unlock()
		return new(net.Dialer).DialContext(ctx, network, found[n])
	}
}

// ingress returns the address of the mesh's ingress gateway.
func (f *localFleet) ingress(p plan) (host string, err error) {
	for _, port := range f.NodePorts() {
		if port.Service == gatewayName && port.Name == "http" {
			return port.Address.String(), nil
		}
	}
	return "", p.o.noIngress(p.arm)
}

// from reaches a Service as a pod of another one would: by the names that this
// pod has, which lead to its proxy if it has one.
func (f *localFleet) from(r *running, l *localLoad, pod local.Pod) error {
	caller, err := r.caller()
	if err != nil {
		return err
	}
	if len(pod.Services) == 0 {
		return fmt.Errorf("load: target: %s: must be a Service", r.targetName())
	}
	names := f.HostsFile()
	if f.mesh != nil {
		names, _ = f.mesh.HostsFile(caller.Name)
	}
	l.plan.Host = net.JoinHostPort(pod.Services[0], strconv.Itoa(pod.DeclaredPort))
	l.dial = r.dialOne(func(address string) ([]string, error) {
		host, port, _ := net.SplitHostPort(address) // net/http has made it
		found, err := local.LookUp(names, host)
		for i := range found {
			found[i] = net.JoinHostPort(found[i], port)
		}
		return found, err
	})
	return nil
}

func (m *machine) start(ctx context.Context, p plan) (_ fleet, err error) {
	f := &localFleet{pids: map[string][]int{}}
	if p.mesh {
		err = f.startMesh(ctx, p, m)
	} else {
		f.Fleet, err = local.Start(ctx, p.objects, m.options(p))
	}
	if err != nil {
		return nil, err
	}
	m.built = true
	return f, nil
}

// options are those of a fleet, whose programs are built once.
func (m *machine) options(p plan) local.Options {
	if m.built && p.o.Bin == "" {
		p.o.Bin = builtIn(p.o.Root)
	}
	return p.options()
}

func (p plan) options() local.Options {
	last := p.o.Network.Masked().Addr().As4()
	last[3] = 250
	return local.Options{
		Root: p.o.Root, Bin: p.o.Bin, State: filepath.Join(p.o.Out, "fleet"), Environ: p.o.Environ,
		Network: p.o.Network, NodeAddress: netip.AddrFrom4(last),
		Replicas: p.arm.Pods(), Set: p.settings(), Relays: p.relayed(),
		StopTimeout:  time.Second, // requests in flight do not matter any more
		ReadyTimeout: time.Minute, // on a busy machine
	}
}

func (f *localFleet) startMesh(ctx context.Context, p plan, m *machine) (err error) {
	var lookEvery time.Duration
	if p.none() {
		lookEvery = kubeletEvery
	}
	if f.mesh, err = mesh.Start(ctx, p.objects, mesh.Options{Local: m.options(p), Binaries: m.found, LookEvery: lookEvery}); err != nil {
		return err
	}
	f.Fleet = f.mesh.Fleet()
	m.noteMesh(p, f)
	if err = f.findProxies(ctx); err != nil {
		f.mesh.Stop()
	}
	return err
}

// noteMesh prints the mesh's notes, once for each arm. The record of every run
// has them.
func (m *machine) noteMesh(p plan, f *localFleet) {
	f.noted = f.mesh.Notes()
	for _, note := range f.noted {
		if line := p.arm.Name + ": " + note; !m.noted[line] {
			m.noted[line] = true
			p.o.Progress(line)
		}
	}
}

// kubeletEvery is the period of the readiness probe that Istio's injector writes. Reading each
// proxy's state every second shows changes sooner, but costs CPU that a cluster's proxy does not use.
const kubeletEvery = 15 * time.Second

func (f *localFleet) stop() error {
	for _, p := range f.beside {
		p.admin.Close()
	}
	if f.mesh != nil {
		f.mesh.Stop()
		return nil
	}
	f.Stop()
	return nil
}

// findProxies finds the proxies and the processes of the control planes.
func (f *localFleet) findProxies(ctx context.Context) error {
	status := f.mesh.Status(ctx)
	for _, p := range status.Proxies {
		admin, err := netip.ParseAddrPort(p.Admin)
		if err != nil {
			return fmt.Errorf("proxy of %s: %w", p.Name, err)
		}
		f.beside = append(f.beside, proxy{p.Name, p.Gateway, p.Address, envoy.NewClient(admin), func(context.Context) ([]byte, error) { return os.ReadFile(p.Log) }})
		f.pids[p.Name+record.ProxySuffix] = []int{p.PID}
	}
	for _, istiod := range status.Istiods() {
		f.pids[record.ControlPlane] = append(f.pids[record.ControlPlane], istiod.PID)
	}
	return nil
}
