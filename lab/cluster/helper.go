package cluster

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleetman.example/lab/local"
	"fleetman.example/lab/process"
	"fleetman.example/lab/relay"
)

const (
	helperLabel = "fleetman.example/helper"
	// relayName is the name of the container that relays connections, and relayPort its port, on the
	// loopback interface of the pod.
	relayName = "fleetman-relay"
	relayPort = 15999
	// labImage is the image of the lab itself.
	labImage = "fleetman/lab:6"
	// helperWithin bounds the start of a helper.
	helperWithin = time.Minute
	helperPoll   = 100 * time.Millisecond
	userID       = 65532
)

// StartRelay makes DialFrom ready for a pod: it adds an ephemeral container that relays connections.
func (c *Client) StartRelay(ctx context.Context, pod local.Pod) error {
	return c.once(pod.Namespace+"/"+pod.Name, func() error { return c.addTo(ctx, pod, relays) })
}

// DialFrom connects to target, such as fleetman-staff-service:8080, as the program of a pod does: through its
// proxy, with its identity.
func (c *Client) DialFrom(ctx context.Context, pod local.Pod, target string) (net.Conn, error) {
	if err := c.StartRelay(ctx, pod); err != nil {
		return nil, err
	}
	return c.dialRelay(ctx, pod.Namespace, pod.Name, target)
}

// StartHelper makes DialHelper ready for a number: it starts a pod without a proxy that relays connections.
func (c *Client) StartHelper(ctx context.Context, number int) error {
	name := helperName(strconv.Itoa(number))
	return c.once(c.namespace+"/"+name, func() error { return c.addHelper(ctx, name, "") })
}

// DialHelper connects to target from a pod of its own. Each number has its own pod, and with it its own
// address.
func (c *Client) DialHelper(ctx context.Context, number int, target string) (net.Conn, error) {
	if err := c.StartHelper(ctx, number); err != nil {
		return nil, err
	}
	return c.dialRelay(ctx, c.namespace, helperName(strconv.Itoa(number)), target)
}

func helperName(suffix string) string { return "fleetman-helper-" + suffix }

func (c *Client) dialRelay(ctx context.Context, namespace, pod, target string) (net.Conn, error) {
	conn, err := c.DialPod(ctx, namespace, pod, relayPort)
	if err != nil {
		return nil, err
	}
	through, err := relay.Dial(ctx, conn, target)
	if err != nil {
		conn.Close()
	}
	return through, err
}

// once calls f for a name until it succeeds, one call at a time.
func (c *Client) once(name string, f func() error) error {
	found, _ := c.helpers.LoadOrStore(name, new(helper))
	h := found.(*helper)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ready {
		return nil
	}
	err := f()
	h.ready = err == nil
	return err
}

// program is a command of the lab's image that serves at a port of a pod's loopback interface.
type program struct {
	container string // its name
	command   string
	port      int
}

var relays = program{relayName, "relay", relayPort}

// container returns the container of a program, which even the restricted security level allows.
func (c *Client) container(p program) corev1.Container {
	return corev1.Container{
		Name: p.container, Image: c.images + labImage, ImagePullPolicy: corev1.PullIfNotPresent,
		Args: []string{p.command, net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))},
		SecurityContext: &corev1.SecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(userID)), AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

// podOf returns a pod of a container, without a proxy, which is of the set, but not of the fleet.
func (c *Client) podOf(container corev1.Container) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
			managedBy: manager, partOfSet: fleetID(c.namespace), helperLabel: "true", "sidecar.istio.io/inject": "false",
		}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{container}, RestartPolicy: corev1.RestartPolicyNever,
			AutomountServiceAccountToken: new(false), TerminationGracePeriodSeconds: new(int64(0)),
		},
	}
}

// addTo adds a program to a pod as an ephemeral container, and waits until it serves.
func (c *Client) addTo(ctx context.Context, pod local.Pod, p program) error {
	pods := c.core.Pods(pod.Namespace)
	there, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil {
		return c.about("pod "+pod.Name, err)
	}
	if slices.ContainsFunc(there.Spec.EphemeralContainers, func(e corev1.EphemeralContainer) bool { return e.Name == p.container }) {
		return c.await(ctx, pod.Namespace, pod.Name, p)
	}
	added := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(c.container(p))}
	there.Spec.EphemeralContainers = append(there.Spec.EphemeralContainers, added)
	if _, err := pods.UpdateEphemeralContainers(ctx, pod.Name, there, metav1.UpdateOptions{FieldManager: manager}); err != nil {
		return c.about("pod "+pod.Name+": ephemeral container", err)
	}
	return c.await(ctx, pod.Namespace, pod.Name, p)
}

// addHelper creates a pod without a proxy, and waits until it runs. An empty node is any one.
func (c *Client) addHelper(ctx context.Context, name, node string) error {
	p := c.podOf(c.container(relays))
	p.Name, p.Spec.NodeName = name, node
	_, err := c.core.Pods(c.namespace).Create(ctx, &corev1.Pod{ObjectMeta: p.ObjectMeta, Spec: p.Spec}, metav1.CreateOptions{FieldManager: manager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return c.about("pod "+name, err)
	}
	return c.await(ctx, c.namespace, name, relays)
}

// await waits until a program serves in a pod.
func (c *Client) await(ctx context.Context, namespace, name string, p program) error {
	ctx, cancel := context.WithTimeout(ctx, helperWithin)
	defer cancel()
	why := "no status"
	for {
		pod, err := c.core.Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil && ctx.Err() == nil {
			return c.about("pod "+name, err)
		}
		if err == nil {
			for _, s := range slices.Concat(pod.Status.EphemeralContainerStatuses, pod.Status.ContainerStatuses) {
				switch {
				case s.Name != p.container:
				case s.State.Running != nil:
					why = "it does not accept connections"
					if c.serves(ctx, namespace, name, p.port) {
						return nil
					}
				default:
					why = containerReason(&s)
				}
			}
		}
		if strings.HasPrefix(why, "image ") {
			return c.fail(nil, "pod %s: container %s: %s", name, p.container, why)
		}
		if err := process.Sleep(ctx, helperPoll); err != nil {
			return c.fail(err, "pod %s: container %s: not ready after %s: %s", name, p.container, helperWithin, why)
		}
	}
}

// serves reports whether a program of the lab serves at a port of a pod. None has a page at /.
func (c *Client) serves(ctx context.Context, namespace, pod string, port int) bool {
	code, _, err := c.get(ctx, namespace, pod, port, "/")
	return err == nil && (code == http.StatusMethodNotAllowed || code == http.StatusNotFound)
}
