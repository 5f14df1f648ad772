package loader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"fleetman.example/lab/process"
)

// Client is a client of a loader in a pod.
type Client struct {
	name  string // of the pod
	http  http.Client
	ahead time.Duration // how far the pod's clock is ahead of this machine's
}

// callTimeout bounds one request, the transfer of a load's requests among them.
const callTimeout = time.Minute

// NewClient returns a client of the loader that dial connects to.
func NewClient(name string, dial Dial) *Client {
	return &Client{name: name, http: http.Client{Timeout: callTimeout, Transport: &http.Transport{DialContext: dial}}}
}

// clockReads is how often the pod's clock is read. The read of the shortest way counts.
const clockReads = 5

// ReadClock compares the clocks.
func (c *Client) ReadClock(ctx context.Context) error {
	best := time.Duration(-1)
	for range clockReads {
		sent := time.Now()
		text, _, err := c.call(ctx, http.MethodGet, "/clock", nil)
		if err != nil {
			return err
		}
		way := time.Since(sent)
		nanos, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return fmt.Errorf("load: pod %s: clock: %.40q: must be a time", c.name, text)
		}
		if best < 0 || way < best {
			best, c.ahead = way, time.Unix(0, nanos).Sub(sent.Add(way/2))
		}
	}
	return nil
}

// Begin makes the pod send its part from a time on.
func (c *Client) Begin(ctx context.Context, p Plan, at time.Time) error {
	text, _ := json.Marshal(order{p, at.Add(c.ahead)}) // plain data
	_, _, err := c.call(ctx, http.MethodPost, "/load", text)
	return err
}

// pollEvery is the time between two questions whether the load has ended.
const pollEvery = 300 * time.Millisecond

// Await returns the requests when they have ended. What fails is tried again until the context ends.
func (c *Client) Await(ctx context.Context) ([]Request, error) {
	for {
		text, status, err := c.call(ctx, http.MethodGet, "/load", nil)
		var requests []Request
		if err == nil && status == http.StatusOK {
			requests, err = decode(text)
			if err == nil {
				return requests, nil
			}
		}
		if ended := process.Sleep(ctx, pollEvery); ended != nil {
			if err == nil || errors.Is(err, ctx.Err()) {
				err = ended
			}
			return nil, fmt.Errorf("load: pod %s: %w", c.name, err)
		}
	}
}

func decode(text []byte) (requests []Request, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	for decoder.More() {
		var r Request
		if err := decoder.Decode(&r); err != nil {
			return nil, fmt.Errorf("request %d: %w", len(requests)+1, err)
		}
		requests = append(requests, r)
	}
	return requests, nil
}

// maxRequests bounds the size of a part's requests, in bytes.
const maxRequests = 1 << 30

func (c *Client) call(ctx context.Context, method, path string, body []byte) (text []byte, status int, err error) {
	request, _ := http.NewRequestWithContext(ctx, method, "http://loader"+path, bytes.NewReader(body)) // both are constants
	response, err := c.http.Do(request)
	if err != nil {
		return nil, 0, fmt.Errorf("load: pod %s: %w", c.name, err)
	}
	defer response.Body.Close()
	text, err = io.ReadAll(io.LimitReader(response.Body, maxRequests))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("load: pod %s: %w", c.name, err)
	case response.StatusCode >= http.StatusBadRequest:
		return nil, 0, fmt.Errorf("load: pod %s: status %d: %.200s; its image must be of this version: fleetman images load", c.name, response.StatusCode, strings.TrimSpace(string(text)))
	}
	return text, response.StatusCode, nil
}
