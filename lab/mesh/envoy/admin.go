package envoy

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"fleetman.example/lab/scrape"
)

// Client is a client of an Envoy's admin interface.
type Client struct {
	base string
	http *http.Client
}

// adminTimeout bounds one request. A busy Envoy responds within milliseconds.
const adminTimeout = 5 * time.Second

// NewClient returns a client of the admin interface at an address.
func NewClient(admin netip.AddrPort) *Client {
	return NewDialClient(admin.String(), new(net.Dialer).DialContext)
}

// NewSocketClient returns a client of the admin interface at a Unix socket.
func NewSocketClient(path string) *Client {
	return NewDialClient("envoy", func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	})
}

// NewDialClient returns a client of an admin interface that dial connects to. name is its name in errors.
func NewDialClient(name string, dial func(ctx context.Context, network, address string) (net.Conn, error)) *Client {
	transport := &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 1, IdleConnTimeout: 10 * time.Second}
	return &Client{base: "http://" + name, http: &http.Client{Timeout: adminTimeout, Transport: transport}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ready returns nil when Envoy has received its first configuration and serves. Envoy may have rejected
// parts of that configuration: see Rejected.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodGet, "/ready", nil)
	return err
}

// Drain makes Envoy close each connection with its next response, so that callers disconnect before it
// stops. Listeners stay open and new requests are served.
func (c *Client) Drain(ctx context.Context) error {
	if _, err := c.do(ctx, http.MethodPost, "/healthcheck/fail", nil); err != nil {
		return err
	}
	_, err := c.do(ctx, http.MethodPost, "/drain_listeners", url.Values{"skip_exit": {""}})
	return err
}

// Active returns the number of requests in flight.
func (c *Client) Active(ctx context.Context) (int, error) {
	return c.sum(ctx, `^http\.(inbound|outbound).*downstream_rq_active$`)
}

// do returns the response's body. A status other than 200 is an error.
func (c *Client) do(ctx context.Context, method, path string, query url.Values) ([]byte, error) {
	where := c.base + path
	if len(query) > 0 {
		where += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, where, nil)
	if err != nil {
		return nil, fmt.Errorf("Envoy's admin interface: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("Envoy's admin interface: %w", err) // err has the method and the URL
	}
	defer response.Body.Close()
	body, err := scrape.ReadBody(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, where, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d: %.200s", method, where, response.StatusCode, strings.TrimSpace(string(body)))
	}
	return body, nil
}

func (c *Client) getJSON(ctx context.Context, path string, query url.Values, into any) error {
	body, err := c.do(ctx, http.MethodGet, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s%s: %w", c.base, path, err)
	}
	return nil
}

// stat is a counter or a gauge.
type stat struct {
	Name  string
	Value float64
}

// sum returns the sum of the statistics whose names match a regular expression.
func (c *Client) sum(ctx context.Context, filter string) (int, error) {
	stats, err := c.stats(ctx, filter)
	total := 0
	for _, stat := range stats {
		total += int(stat.Value)
	}
	return total, err
}

// stats returns the statistics whose names match a regular expression.
func (c *Client) stats(ctx context.Context, filter string) ([]stat, error) {
	var body struct {
		Stats []struct {
			Name  string          `json:"name"`
			Value json.RawMessage `json:"value"` // a number, or a text readout's text
		} `json:"stats"`
	}
	if err := c.getJSON(ctx, "/stats", url.Values{"format": {"json"}, "filter": {filter}}, &body); err != nil {
		return nil, err
	}
	var found []stat
	for _, s := range body.Stats {
		var value float64
		if s.Name != "" && json.Unmarshal(s.Value, &value) == nil { // histograms have no name
			found = append(found, stat{s.Name, value})
		}
	}
	return found, nil
}
