package control

import (
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

	"fleetman.example/lab/local"
	"fleetman.example/lab/mesh"
)

// Client talks to the fleet of a state directory.
type Client struct {
	state string
	http  http.Client
}

// ErrNoFleet is the error of a client whose directory has no running fleet.
var ErrNoFleet = errors.New("no fleet runs")

// NewClient does not connect yet.
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

// Status asks how the fleet is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var status Status
	return status, c.read(ctx, http.MethodGet, "/status", nil, &status)
}

// Logs copies a pod's log, or with "all" every pod's, to w.
func (c *Client) Logs(ctx context.Context, pod string, o local.LogOptions, w io.Writer) error {
	query := url.Values{"pod": {pod}, "follow": {strconv.FormatBool(o.Follow)}, "prefix": {strconv.FormatBool(o.Prefix)}}
	if o.TailLines != nil {
		query.Set("tail", strconv.Itoa(*o.TailLines))
	}
	if !o.Since.IsZero() {
		query.Set("since", o.Since.Format(time.RFC3339Nano))
	}
	body, err := c.call(ctx, http.MethodGet, "/logs", query)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil && ctx.Err() == nil {
		return fmt.Errorf("reading the log of %s: %w", pod, err)
	}
	return nil
}

// Kill sends a signal to a pod's process, and returns what was done, in words.
func (c *Client) Kill(ctx context.Context, pod string, sig syscall.Signal) (string, error) {
	var answer killed
	err := c.read(ctx, http.MethodPost, "/kill", url.Values{"pod": {pod}, "signal": {strconv.Itoa(int(sig))}}, &answer)
	return answer.Did, err
}

// Stop begins the end of the fleet; local.AwaitUnlocked waits for it.
func (c *Client) Stop(ctx context.Context) error {
	var done struct{}
	return c.read(ctx, http.MethodPost, "/stop", nil, &done)
}

// Mesh asks how the mesh is.
func (c *Client) Mesh(ctx context.Context) (mesh.Status, error) {
	var status mesh.Status
	return status, c.read(ctx, http.MethodGet, "/mesh", nil, &status)
}

// Apply makes manifests those of the running mesh. The paths are absolute.
func (c *Client) Apply(ctx context.Context, paths []string) (mesh.Applied, error) {
	var applied mesh.Applied
	return applied, c.read(ctx, http.MethodPost, "/apply", url.Values{"path": paths}, &applied)
}

func (c *Client) read(ctx context.Context, method, path string, query url.Values, into any) error {
	body, err := c.call(ctx, method, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("reading the fleet's answer: %w", err)
	}
	return nil
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://fleet"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking the fleet: %w", err)
	}
	response, err := c.http.Do(request)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w in %s; start one with fleetman up, or name its directory with --state", ErrNoFleet, c.state)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the fleet: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	var failed failure
	if json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&failed) != nil || failed.Error == "" {
		return nil, fmt.Errorf("asking the fleet: status %d", response.StatusCode)
	}
	return nil, errors.New(failed.Error)
}
