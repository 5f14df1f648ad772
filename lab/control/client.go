package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"fleetman.example/lab/jsonhttp"
	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
	"fleetman.example/lab/usage"
)

// Client is a client of the fleet in a state directory.
type Client struct {
	state string
	http  http.Client
}

// ErrNoFleet is the error when no fleet runs in the client's state directory.
var ErrNoFleet = errors.New("no fleet runs")

// NewClient returns a client. It does not connect yet.
func NewClient(state string) (*Client, error) {
	path, err := socketPath(state)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &Client{state: state, http: http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// Status returns the status of the fleet.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/status", nil, nil)
}

// Logs copies a pod's log to w, or every pod's when pod is "all".
func (c *Client) Logs(ctx context.Context, pod string, o local.LogOptions, w io.Writer) error {
	query := url.Values{"pod": {pod}, "follow": {strconv.FormatBool(o.Follow)}, "prefix": {strconv.FormatBool(o.Prefix)}}
	if o.TailLines != nil {
		query.Set("tail", strconv.Itoa(*o.TailLines))
	}
	if !o.Since.IsZero() {
		query.Set("since", o.Since.Format(time.RFC3339Nano))
	}
	body, err := c.send(ctx, http.MethodGet, "/logs", query, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read the log of %s: %w", pod, err)
	}
	return nil
}

// Kill sends a signal to a pod's process and returns a description of its effect.
func (c *Client) Kill(ctx context.Context, pod string, sig syscall.Signal) (string, error) {
	result, err := call[killed](ctx, c, http.MethodPost, "/kill", url.Values{"pod": {pod}, "signal": {strconv.Itoa(int(sig))}}, nil)
	return result.Did, err
}

// Stop starts to stop the fleet and returns at once. local.AwaitUnlocked waits for the end.
func (c *Client) Stop(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/stop", nil, nil)
	return err
}

// Connect returns the fault of a pod's connections.
func (c *Client) Connect(ctx context.Context, pod string) (local.ConnectState, error) {
	return call[local.ConnectState](ctx, c, http.MethodGet, "/connect", url.Values{"pod": {pod}}, nil)
}

// SetConnect sets the fault of a pod's connections, none for an empty rule.
func (c *Client) SetConnect(ctx context.Context, pod, rule string) (local.ConnectState, error) {
	return call[local.ConnectState](ctx, c, http.MethodPost, "/connect", url.Values{"pod": {pod}, "rule": {rule}}, nil)
}

// Mesh returns the status of the mesh.
func (c *Client) Mesh(ctx context.Context) (mesh.Status, error) {
	return call[mesh.Status](ctx, c, http.MethodGet, "/mesh", nil, nil)
}

// Apply replaces the manifests of the running mesh. The paths must be absolute.
func (c *Client) Apply(ctx context.Context, paths []string) (mesh.Applied, error) {
	return call[mesh.Applied](ctx, c, http.MethodPost, "/apply", url.Values{"path": paths}, nil)
}

// Set changes variables or numbers of pods of Deployments, over the manifests in force, until the fleet stops.
func (c *Client) Set(ctx context.Context, o Override) (mesh.Applied, error) {
	text, _ := json.Marshal(o) // never fails: texts and numbers
	return call[mesh.Applied](ctx, c, http.MethodPost, "/set", nil, bytes.NewReader(text))
}

// call sends a request and decodes its response.
func call[T any](ctx context.Context, c *Client, method, path string, query url.Values, body io.Reader) (result T, err error) {
	response, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return result, err
	}
	defer response.Close()
	if err := json.NewDecoder(response).Decode(&result); err != nil {
		return result, fmt.Errorf("parse the fleet's response: %w", err)
	}
	return result, nil
}

func (c *Client) send(ctx context.Context, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://fleet"+path+"?"+query.Encode(), body)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	response, err := c.http.Do(request)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w in %s: start one with fleetman up, or set its directory with --state", ErrNoFleet, c.state)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	var failed jsonhttp.Failure
	if json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&failed) != nil || failed.Error == "" {
		return nil, fmt.Errorf("control socket: %s %s: status %d", method, path, response.StatusCode)
	}
	if response.StatusCode == http.StatusBadRequest {
		return nil, usage.Error{Err: errors.New(failed.Error)}
	}
	return nil, errors.New(failed.Error)
}
