package compare

import (
	"context"
	"iter"
	"syscall"
	"time"

	"fleetman.example/lab/experiment"
	"fleetman.example/lab/faults"
	"fleetman.example/lab/loader"
	"fleetman.example/lab/local"
	"fleetman.example/lab/record"
)

// place is where the fleets of runs are: this machine, or a cluster.
type place interface {
	// conditions describes the place: what runs must share to be compared.
	conditions(ctx context.Context) (machine string, versions map[string]string)
	// mistakes returns what the experiment asks for and the place does not have.
	mistakes(plans []plan, others bool) experiment.Problems
	// ready returns an error unless the runs can be made there. It is called before the first one.
	ready(ctx context.Context, left []plan) error
	// start starts the fleet of a run.
	start(ctx context.Context, p plan) (fleet, error)
	// meshPrograms are the mesh's programs with their versions, after ready.
	meshPrograms() []string
	// repeats reports whether a run is made again, as a whole, after an error.
	repeats(err error) bool
	// overhead is about how long a run's fleet takes to start and to end.
	overhead(p plan) time.Duration
	// parallel reports whether all arms with one fault and one seed run at once.
	parallel() bool
}

// fleet is the fleet of one run. Its pods have the names DEPLOYMENT-N, as the records have them.
type fleet interface {
	Pods() []local.Pod
	// Events yields the events of pods since the fleet's start, then new ones, until the context ends.
	Events(ctx context.Context) iter.Seq[local.Event]
	Kill(pod string, sig syscall.Signal) (did string, err error)
	SetConnect(pod string, fault *local.ConnectFault) (local.ConnectState, error)

	// admin is a client of the pods' admin listeners; its transport reaches their other ports, too.
	admin() *faults.Client
	// usage returns the CPU seconds and the memory of a pod's program, of a proxy or of the control plane,
	// by the name of its sample. It returns none if the place measures all of them together: see used.
	usage(ctx context.Context, name string) ([]record.Count, error)
	// used returns what was measured of all processes together since a time.
	used(since time.Time) []record.Sample
	proxies() []proxy
	// logDelay is how long a line of a proxy's access log may take to be read.
	logDelay() time.Duration
	controlled() bool // by a control plane

	// prepare makes a load ready. The service that its requests reach first is entry.
	prepare(ctx context.Context, r *running, vehicles []string) (l sending, entry string, err error)
	// notes are those of the mesh, as the record has them.
	notes() []string
	// err returns why the run is not the one of the plan.
	err(ctx context.Context) error
	stop() error
}

// sending is a load that is ready.
type sending interface {
	// begin returns the load's start, which has come.
	begin(ctx context.Context) (time.Time, error)
	// run returns the requests when they have ended.
	run(ctx context.Context) ([]loader.Request, error)
	// check is the first part of the requests' names in access logs.
	check() string
}
