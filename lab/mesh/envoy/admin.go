package envoy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Client speaks with the admin interface of one Envoy.
type Client struct {
	base string
	http *http.Client
}

// adminTimeout bounds one question; a busy Envoy answers within milliseconds.
const adminTimeout = 5 * time.Second

// maxAnswer bounds one answer; a configuration dump of a small mesh is about 1 MB.
const maxAnswer = 64 << 20

// NewClient returns a client of the admin interface at an address.
func NewClient(admin netip.AddrPort) *Client {
	return newClient("http://"+admin.String(), new(net.Dialer).DialContext)
}

// NewSocketClient returns a client of the admin interface at a Unix socket.
func NewSocketClient(path string) *Client {
	return newClient("http://envoy", func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	})
}

func newClient(base string, dial func(ctx context.Context, network, address string) (net.Conn, error)) *Client {
	transport := &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 1, IdleConnTimeout: 10 * time.Second}
	return &Client{base: base, http: &http.Client{Timeout: adminTimeout, Transport: transport}}
}

// Close gives up the connection.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ready is nil when Envoy has its first configuration and serves. Whether it
// accepted that configuration is for Rejected to say.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.ask(ctx, http.MethodGet, "/ready", nil)
	return err
}

// Drain closes each connection with its next answer, as the first step of
// going, so that callers leave. Listeners stay open and new requests are served.
func (c *Client) Drain(ctx context.Context) error {
	if _, err := c.ask(ctx, http.MethodPost, "/healthcheck/fail", nil); err != nil {
		return err
	}
	_, err := c.ask(ctx, http.MethodPost, "/drain_listeners", url.Values{"skip_exit": {""}})
	return err
}

// Active is the number of requests under way through the proxy.
func (c *Client) Active(ctx context.Context) (int, error) {
	stats, err := c.stats(ctx, `^http\.(inbound|outbound).*downstream_rq_active$`)
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, stat := range stats {
		sum += int(stat.Value)
	}
	return sum, nil
}

// ask returns the answer's body. An answer other than 200 is an error.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values) ([]byte, error) {
	where := c.base + path
	if len(query) > 0 {
		where += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, where, nil)
	if err != nil {
		return nil, fmt.Errorf("asking Envoy's admin interface: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking Envoy's admin interface: %w", err) // it names method and URL
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, where, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d: %.200s", method, where, response.StatusCode, strings.TrimSpace(string(body)))
	}
	return body, nil
}

func (c *Client) askJSON(ctx context.Context, path string, query url.Values, into any) error {
	body, err := c.ask(ctx, http.MethodGet, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s%s: %w", c.base, path, err)
	}
	return nil
}

// stat is a counter or a gauge; histograms have no name.
type stat struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

func (c *Client) stats(ctx context.Context, filter string) ([]stat, error) {
	var answer struct {
		Stats []struct {
			Name  string          `json:"name"`
			Value json.RawMessage `json:"value"` // a number, or a text readout's text
		} `json:"stats"`
	}
	if err := c.askJSON(ctx, "/stats", url.Values{"format": {"json"}, "filter": {filter}}, &answer); err != nil {
		return nil, err
	}
	var found []stat
	for _, s := range answer.Stats {
		var value float64
		if s.Name != "" && json.Unmarshal(s.Value, &value) == nil {
			found = append(found, stat{s.Name, value})
		}
	}
	return found, nil
}
