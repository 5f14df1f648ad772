package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"fleetman.example/lab/local"
	"fleetman.example/lab/process"
	"fleetman.example/lab/usage"
)

// OwnNamespace is the namespace of a fleet unless Options name another.
const OwnNamespace = "fleetman"

// Options select a cluster and a namespace.
type Options struct {
	// Context is the name of a context in the kubeconfig.
	Context string
	// Kubeconfig is the path of the kubeconfig. Defaults to the files that KUBECONFIG names, else to
	// ~/.kube/config.
	Kubeconfig string
	// Namespace is where the fleet runs. Defaults to OwnNamespace.
	Namespace string
	// Images is what stands before the names of the project's images, of which a helper is one.
	Images string
	// Agree is called before Apply creates or changes objects in a namespace that is neither the fleet's own nor
	// one of the manifests, such as istio-system. An error ends Apply. Nil refuses them.
	Agree func(objects []string) error
	// Command is the command that needs the permissions of the client. Defaults to up.
	Command string
	// Progress is called with a line about a long wait. Nil: the lines are dropped.
	Progress func(line string)
	// Getenv reads the environment. Nil means that of the process.
	Getenv func(string) string
}

// Client is a client of the fleet in one namespace of a cluster.
type Client struct {
	context, namespace string
	namespaceGiven     bool // the user has named the namespace
	images             string
	ask                func(objects []string) error
	options            Options
	base               *rest.Config // as it was given
	responded          *atomic.Bool // the API server has, to this client or to one that it was made from
	config             *rest.Config
	// The typed clients of two API groups. Those of all groups, kubernetes.Clientset, are a hundred packages more to
	// compile.
	core     corev1.CoreV1Interface
	apps     appsv1.AppsV1Interface
	dynamic  dynamic.Interface
	known    discovery.CachedDiscoveryInterface
	mapper   *restmapper.DeferredDiscoveryRESTMapper
	forwards *forwards

	mu        sync.Mutex
	addresses map[string]local.Pod // by address, and by name
	helpers   sync.Map             // *helper, by NAMESPACE/POD
}

// helper is a pod that relays connections.
type helper struct {
	mu    sync.Mutex
	ready bool
}

// NewClient returns a client. It does not connect yet.
func NewClient(o Options) (*Client, error) {
	config, err := o.load()
	if err != nil {
		return nil, err
	}
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // client-go logs what is an error of a call, too
	return newClient(o, config, new(atomic.Bool))
}

// In returns a client of the fleet in another namespace of the same cluster.
func (c *Client) In(namespace string) (*Client, error) {
	o := c.options
	o.Namespace = namespace
	other, err := newClient(o, c.base, c.responded)
	if err == nil {
		other.namespaceGiven = false
	}
	return other, err
}

// The rate of requests to the API server. The limits of client-go, 5 a second, would delay a start by
// seconds.
const (
	requestsPerSecond = 100
	requestsAtOnce    = 200
)

func newClient(o Options, base *rest.Config, responded *atomic.Bool) (*Client, error) {
	config := rest.CopyConfig(base)
	config.QPS, config.Burst, config.UserAgent = requestsPerSecond, requestsAtOnce, "fleetman"
	config.WarningHandlerWithContext = rest.NoWarnings{}
	streaming := rest.CopyConfig(config) // without the waits: a tunnel that breaks is opened again by its caller
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &outage{next: next, responded: responded} })
	c := &Client{
		context: o.Context, namespace: cmp.Or(o.Namespace, OwnNamespace), namespaceGiven: o.Namespace != "", ask: o.Agree,
		config: config, options: o, base: base, responded: responded,
	}
	if o.Images != "" {
		c.images = strings.TrimSuffix(o.Images, "/") + "/"
	}
	var errs [3]error
	c.core, errs[0] = corev1.NewForConfig(config)
	c.apps, errs[1] = appsv1.NewForConfig(config)
	c.dynamic, errs[2] = dynamic.NewForConfig(config)
	known, err := discovery.NewDiscoveryClientForConfig(config)
	if err := cmp.Or(errs[0], errs[1], errs[2], err); err != nil {
		return nil, fmt.Errorf("--context %s: %w", o.Context, err)
	}
	c.known = memory.NewMemCacheClient(known)
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(c.known)
	c.forwards = &forwards{client: c, config: streaming, open: map[string]*slot{}}
	return c, nil
}

// say calls the Progress of the options.
func (c *Client) say(line string) {
	if c.options.Progress != nil {
		c.options.Progress(line)
	}
}

// Close closes the connections to pods.
func (c *Client) Close() { c.forwards.close() }

// Namespace returns the namespace of the fleet.
func (c *Client) Namespace() string { return c.namespace }

// Flags returns the flags that select the fleet on a command line.
func (c *Client) Flags() []string {
	flags := c.clusterFlags()
	if c.namespace != OwnNamespace {
		flags = append(flags, "--namespace", c.namespace)
	}
	return flags
}

// clusterFlags returns the flags that select the cluster.
func (c *Client) clusterFlags() []string {
	flags := []string{"--context", c.context}
	if c.options.Kubeconfig != "" {
		flags = append(flags, "--kubeconfig", c.options.Kubeconfig)
	}
	return flags
}

// fleetCommand returns a command line for the fleet, to show to the user.
func (c *Client) fleetCommand(name string) string { return commandLine(name, c.Flags()) }

// command returns a command line for the cluster, to show to the user.
func (c *Client) command(name string, flags ...string) string {
	return commandLine(name, append(c.clusterFlags(), flags...))
}

func commandLine(name string, flags []string) string {
	line := "fleetman " + name
	for _, word := range flags {
		line += " " + usage.ShellWord(word)
	}
	return line
}

// DownCommand returns the command line that removes the fleets of a namespace.
func (c *Client) DownCommand(namespace string) string {
	return c.command("down", "--namespace", namespace)
}

// load reads the kubeconfig and selects the context.
func (o Options) load() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	if o.Getenv != nil {
		if paths := o.Getenv(clientcmd.RecommendedConfigPathEnvVar); paths != "" {
			rules.Precedence = filepath.SplitList(paths)
		}
	}
	files := cmp.Or(o.Kubeconfig, strings.Join(rules.Precedence, ", "))
	all, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: %s: must be a kubeconfig", files, oneLine(err))
	}
	if all.Contexts[o.Context] == nil {
		known := slices.Sorted(maps.Keys(all.Contexts))
		if len(known) == 0 {
			return nil, fmt.Errorf("--context %s: no context in %s: must name a context of a kubeconfig, see --kubeconfig", o.Context, files)
		}
		return nil, fmt.Errorf("--context %s: must be one of %s, in %s", o.Context, strings.Join(known, ", "), files)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*all, o.Context, nil, rules).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("--context %s: %s", o.Context, oneLine(err))
	}
	return config, nil
}

const (
	// firstContact bounds the first request. A cluster that is there responds within it.
	firstContact = 10 * time.Second
	// outageLimit is how long requests wait for an API server that was there before.
	outageLimit = time.Minute
	outagePoll  = 500 * time.Millisecond
)

// outage repeats requests that get no response, once the API server has responded to one: it restarts
// within an upgrade. POST is not repeated, because it may have had its effect.
type outage struct {
	next      http.RoundTripper
	responded *atomic.Bool
}

func (o *outage) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := o.next.RoundTrip(request)
	if err == nil {
		o.responded.Store(true)
		return response, nil
	}
	if !o.responded.Load() || request.Method == http.MethodPost {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(request.Context(), outageLimit)
	defer cancel()
	for process.Sleep(ctx, outagePoll) == nil {
		again := request.Clone(request.Context())
		if request.GetBody != nil {
			if again.Body, err = request.GetBody(); err != nil {
				return nil, err
			}
		}
		if response, err = o.next.RoundTrip(again); err == nil {
			return response, nil
		}
	}
	return nil, err
}

// Reach returns an error unless the API server responds to these credentials.
func (c *Client) Reach(ctx context.Context) error {
	_, err := c.version(ctx)
	return err
}

// version returns what the API server reports about itself.
func (c *Client) version(ctx context.Context) (found version.Info, err error) {
	ctx, cancel := context.WithTimeout(ctx, firstContact)
	defer cancel()
	text, err := raw(ctx, c.core.RESTClient().Get().AbsPath("/version"))
	if err != nil {
		return found, c.explain(err)
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return found, c.fail(err, "API server %s: /version: %s: must be that of Kubernetes", c.config.Host, oneLine(err))
	}
	return found, nil
}

// raw returns the response to a request, or the API server's error. That of DoRaw has no message.
func raw(ctx context.Context, request *rest.Request) ([]byte, error) {
	result := request.Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}
