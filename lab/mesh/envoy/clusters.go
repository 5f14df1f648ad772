package envoy

import (
	"context"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Host is an endpoint of a cluster.
type Host struct {
	Cluster string // outbound|8080|SUBSET|HOST
	Address netip.AddrPort
}

// Ejected returns the hosts that outlier detection ejects now.
func (c *Client) Ejected(ctx context.Context) ([]Host, error) {
	var body struct {
		Clusters []struct {
			Name  string `json:"name"`
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
						Port    uint16 `json:"port_value"`
					} `json:"socket_address"`
				} `json:"address"`
				Health struct {
					Ejected bool `json:"failed_outlier_check"`
				} `json:"health_status"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := c.getJSON(ctx, "/clusters", url.Values{"format": {"json"}}, &body); err != nil {
		return nil, err
	}
	var hosts []Host
	for _, cluster := range body.Clusters {
		for _, host := range cluster.Hosts {
			// without an address it is an internal listener or a pipe
			if ip, err := netip.ParseAddr(host.Address.Socket.Address); err == nil && host.Health.Ejected {
				hosts = append(hosts, Host{Cluster: cluster.Name, Address: netip.AddrPortFrom(ip, host.Address.Socket.Port)})
			}
		}
	}
	return hosts, nil
}

// ClusterStats has a cluster's counters since Envoy started.
type ClusterStats struct {
	Cluster         string         // outbound|8080|SUBSET|HOST, or inbound|8080||
	Requests        uint64         // attempts, including retries
	Codes           map[int]uint64 // responses to callers, by status: those of last attempts, and Envoy's own
	Retries         uint64
	RetrySuccess    uint64
	RetryOverflow   uint64 // retries refused by the retry budget or maxRetries
	PendingOverflow uint64 // requests refused by the connection pool's limits
	ConnectFailures uint64

	Connections uint64
	Handshakes  uint64 // of TLS

	EjectedNow uint64
	Ejections  uint64

	// Took has the times until a response, of Traffic for a gateway alone.
	Took []Bucket
}

// Bucket is a bucket of a histogram: how many values are at most Le, in seconds.
type Bucket struct {
	Le    float64
	Count uint64
}

// Clusters returns the counters of the clusters that istiod configured, keyed by name, as Traffic does.
func (c *Client) Clusters(ctx context.Context) (map[string]*ClusterStats, error) {
	return c.used(ctx, url.Values{"filter": {`^cluster\.(in|out)bound\|`}})
}

// Retries is like Clusters, with Retries, RetrySuccess and RetryOverflow alone. The response is small
// enough to poll.
func (c *Client) Retries(ctx context.Context) (map[string]*ClusterStats, error) {
	return c.used(ctx, url.Values{"filter": {`^cluster\.outbound\|.*;\.upstream_rq_retry(_success|_overflow)?$`}})
}

func (s *ClusterStats) set(counter string, value uint64) {
	if strings.HasSuffix(counter, "ssl.handshake") { // Istio's automatic mutual TLS adds a prefix
		s.Handshakes += value
		return
	}
	if field := fields[counter]; field != nil {
		*field(s) = value
		return
	}
	if text, ok := strings.CutPrefix(counter, "upstream_rq_"); ok && len(text) == 3 {
		if code, err := strconv.Atoi(text); err == nil && value > 0 {
			s.Codes[code] = value
		}
	}
}

// fields returns the fields of counters.
var fields = map[string]func(*ClusterStats) *uint64{
	"upstream_rq_total":                          func(s *ClusterStats) *uint64 { return &s.Requests },
	"upstream_rq_retry":                          func(s *ClusterStats) *uint64 { return &s.Retries },
	"upstream_rq_retry_success":                  func(s *ClusterStats) *uint64 { return &s.RetrySuccess },
	"upstream_rq_retry_overflow":                 func(s *ClusterStats) *uint64 { return &s.RetryOverflow },
	"upstream_rq_pending_overflow":               func(s *ClusterStats) *uint64 { return &s.PendingOverflow },
	"upstream_cx_connect_fail":                   func(s *ClusterStats) *uint64 { return &s.ConnectFailures },
	"upstream_cx_total":                          func(s *ClusterStats) *uint64 { return &s.Connections },
	"outlier_detection.ejections_active":         func(s *ClusterStats) *uint64 { return &s.EjectedNow },
	"outlier_detection.ejections_enforced_total": func(s *ClusterStats) *uint64 { return &s.Ejections },
}
