package local

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"fleetman.example/lab/process"
)

// firstPoll is the period of probes while a pod has never been ready, so that a
// fleet starts as fast as it can and not in the manifests' period.
const firstPoll = 20 * time.Millisecond

// probe is one of a container's probes.
type probe struct {
	port                int // of the manifests
	check               func(context.Context) error
	delay, period       time.Duration
	failures, successes int // in a row, until it counts
}

func newProbe(from *corev1.Probe, c *corev1.Container, p *podPlan) (*probe, error) {
	made := &probe{
		delay:     time.Duration(from.InitialDelaySeconds) * time.Second,
		period:    seconds(from.PeriodSeconds, 10),
		failures:  int(positive(from.FailureThreshold, 3)),
		successes: int(positive(from.SuccessThreshold, 1)),
	}
	var err error
	switch timeout := seconds(from.TimeoutSeconds, 1); {
	case from.HTTPGet != nil:
		get := from.HTTPGet
		if made.port, err = probedPort(get.Port, c); err != nil {
			return nil, fmt.Errorf("httpGet.port: %w", err)
		}
		if get.Scheme != "" && get.Scheme != corev1.URISchemeHTTP {
			return nil, fmt.Errorf("httpGet.scheme: %q: must be HTTP", get.Scheme)
		}
		made.check = httpCheck(p.itself(made.port), get, timeout)
	case from.TCPSocket != nil:
		if made.port, err = probedPort(from.TCPSocket.Port, c); err != nil {
			return nil, fmt.Errorf("tcpSocket.port: %w", err)
		}
		made.check = tcpCheck(p.itself(made.port), timeout)
	default:
		return nil, fmt.Errorf("must be httpGet or tcpSocket: exec and grpc are not applied to a process")
	}
	return made, nil
}

func probedPort(port intstr.IntOrString, c *corev1.Container) (int, error) {
	found, err := containerPort(port, 0, c)
	if err == nil && (found < 1 || found > 65535) {
		err = fmt.Errorf("%d: must be between 1 and 65535", found)
	}
	return found, err
}

// positive returns a value of a probe, or its default.
func positive(value, otherwise int32) int32 {
	if value < 1 {
		return otherwise
	}
	return value
}

func seconds(value, otherwise int32) time.Duration {
	return time.Duration(positive(value, otherwise)) * time.Second
}

// httpCheck succeeds with a status from 200 to 399, as kubelet's probes do.
func httpCheck(address string, get *corev1.HTTPGetAction, timeout time.Duration) func(context.Context) error {
	client := &http.Client{
		Timeout:       timeout,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	url := "http://" + address + "/" + strings.TrimPrefix(get.Path, "/")
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("probing %s: %w", url, err)
		}
		request.Header.Set("User-Agent", "kube-probe/fleetman")
		for _, header := range get.HTTPHeaders {
			request.Header.Add(header.Name, header.Value)
			if strings.EqualFold(header.Name, "Host") {
				request.Host = header.Value
			}
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		if response.StatusCode < 200 || response.StatusCode > 399 {
			return fmt.Errorf("GET %s: status %d: %s", url, response.StatusCode, strings.TrimSpace(string(body)))
		}
		return nil
	}
}

func tcpCheck(address string, timeout time.Duration) func(context.Context) error {
	dialer := net.Dialer{Timeout: timeout}
	return func(ctx context.Context) error {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// watch probes until the context ends and calls report with every change, and with
// the reason for a failure. It starts after the delay or a period, whichever is
// longer. An eager watch starts at once and, until the first success, probes
// every firstPoll and reports no failure.
func (p *probe) watch(ctx context.Context, eager bool, report func(ok bool, err error)) {
	state, known, inARow := false, false, 0 // inARow is negative for failures
	pause := max(p.delay, p.period)         // a process cannot answer at once
	if eager {
		pause = 0
	}
	for process.Sleep(ctx, pause) == nil {
		err := p.check(ctx)
		if ctx.Err() != nil {
			return
		}
		switch ok := err == nil; {
		case known && ok == state:
			inARow = 0
		case ok:
			if inARow = max(inARow, 0) + 1; inARow >= p.successes {
				state, known, inARow = true, true, 0
				report(true, nil)
			}
		case known || !eager:
			if inARow = min(inARow, 0) - 1; -inARow >= p.failures {
				state, known, inARow = false, true, 0
				report(false, err)
			}
		default:
			inARow = 0
		}
		if pause = p.period; eager && !known {
			pause = firstPoll
		}
	}
}
