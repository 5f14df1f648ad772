package envoy

import (
	"context"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Host is the proxy's state of one endpoint of one cluster.
type Host struct {
	Cluster string // outbound|8080|SUBSET|HOST
	Address netip.AddrPort
	Ejected bool // by outlier detection
	// Health is the status that istiod sent: HEALTHY, UNHEALTHY, DRAINING, ...
	Health string
}

// Hosts returns all endpoints of the clusters that istiod configured.
func (c *Client) Hosts(ctx context.Context) ([]Host, error) {
	var body struct {
		Clusters []struct {
			Name  string `json:"name"`
			Added bool   `json:"added_via_api"`
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
						Port    uint16 `json:"port_value"`
					} `json:"socket_address"`
				} `json:"address"`
				Health struct {
					Outlier bool   `json:"failed_outlier_check"`
					EDS     string `json:"eds_health_status"`
				} `json:"health_status"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := c.getJSON(ctx, "/clusters", url.Values{"format": {"json"}}, &body); err != nil {
		return nil, err
	}
	var hosts []Host
	for _, cluster := range body.Clusters {
		if !cluster.Added {
			continue
		}
		for _, host := range cluster.Hosts {
			ip, err := netip.ParseAddr(host.Address.Socket.Address)
			if err != nil {
				continue // no address: an internal listener or a pipe
			}
			hosts = append(hosts, Host{
				Cluster: cluster.Name, Address: netip.AddrPortFrom(ip, host.Address.Socket.Port),
				Ejected: host.Health.Outlier, Health: host.Health.EDS,
			})
		}
	}
	return hosts, nil
}

// Ejected returns the hosts that outlier detection ejects now.
func (c *Client) Ejected(ctx context.Context) ([]Host, error) {
	hosts, err := c.Hosts(ctx)
	var ejected []Host
	for _, host := range hosts {
		if host.Ejected {
			ejected = append(ejected, host)
		}
	}
	return ejected, err
}

// ClusterStats has a cluster's counters since Envoy started.
type ClusterStats struct {
	Cluster         string         // outbound|8080|SUBSET|HOST, or inbound|8080||
	Requests        uint64         // attempts, including retries
	Codes           map[int]uint64 // responses to callers, by status: those of last attempts, and Envoy's own
	Timeouts        uint64
	PerTryTimeouts  uint64
	Retries         uint64
	RetrySuccess    uint64
	RetryOverflow   uint64 // retries refused by the retry budget or maxRetries
	RetryExhausted  uint64 // requests that failed after all retries
	PendingOverflow uint64 // requests refused by the connection pool's limits
	ConnectFailures uint64
	Resets          uint64 // by the upstream, before the response was complete

	Connections uint64
	Handshakes  uint64 // of TLS

	EjectedNow       uint64
	Ejections        uint64
	EjectionOverflow uint64 // ejections prevented by maxEjectionPercent

	TLSNoCertificate, TLSBadCertificate, TLSWrongName uint64

	// Took has the times until a response, of Traffic for a gateway alone.
	Took []Bucket
}

// Bucket is a bucket of a histogram: how many values are at most Le, in seconds.
type Bucket struct {
	Le    float64
	Count uint64
}

// Clusters returns the counters of the clusters that istiod configured, keyed by name.
func (c *Client) Clusters(ctx context.Context) (map[string]*ClusterStats, error) {
	return c.clusters(ctx, `^cluster\.(in|out)bound\|`)
}

// Retries is like Clusters, with Retries, RetrySuccess and RetryOverflow alone. The response is small
// enough to poll.
func (c *Client) Retries(ctx context.Context) (map[string]*ClusterStats, error) {
	return c.used(ctx, url.Values{"filter": {`^cluster\.outbound\|.*;\.upstream_rq_retry(_success|_overflow)?$`}})
}

func (c *Client) clusters(ctx context.Context, filter string) (map[string]*ClusterStats, error) {
	stats, err := c.stats(ctx, filter)
	if err != nil {
		return nil, err
	}
	clusters := map[string]*ClusterStats{}
	for _, s := range stats {
		name, counter, ok := splitStat(s.Name)
		if !ok {
			continue
		}
		cluster := clusters[name]
		if cluster == nil {
			cluster = &ClusterStats{Cluster: name, Codes: map[int]uint64{}}
			clusters[name] = cluster
		}
		cluster.set(counter, uint64(s.Value))
	}
	return clusters, nil
}

// splitStat splits cluster.outbound|8080||staff.default.svc.cluster.local;.upstream_rq_retry. Istio adds
// the semicolon because names contain dots.
func splitStat(stat string) (cluster, counter string, ok bool) {
	rest, ok := strings.CutPrefix(stat, "cluster.")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ";.")
}

func (s *ClusterStats) set(counter string, value uint64) {
	if strings.HasSuffix(counter, "ssl.handshake") { // Istio's automatic mutual TLS adds a prefix
		s.Handshakes += value
		return
	}
	if field := s.field(counter); field != nil {
		*field = value
		return
	}
	if text, ok := strings.CutPrefix(counter, "upstream_rq_"); ok && len(text) == 3 {
		if code, err := strconv.Atoi(text); err == nil && value > 0 {
			s.Codes[code] = value
		}
	}
}

// field returns the field of a counter, or nil.
func (s *ClusterStats) field(counter string) *uint64 { //nolint:gocyclo // one case for each counter; a map would be built for each of thousands
	switch counter {
	case "upstream_rq_total":
		return &s.Requests
	case "upstream_rq_timeout":
		return &s.Timeouts
	case "upstream_rq_per_try_timeout":
		return &s.PerTryTimeouts
	case "upstream_rq_retry":
		return &s.Retries
	case "upstream_rq_retry_success":
		return &s.RetrySuccess
	case "upstream_rq_retry_overflow":
		return &s.RetryOverflow
	case "upstream_rq_retry_limit_exceeded":
		return &s.RetryExhausted
	case "upstream_rq_pending_overflow":
		return &s.PendingOverflow
	case "upstream_cx_connect_fail":
		return &s.ConnectFailures
	case "upstream_rq_rx_reset":
		return &s.Resets
	case "upstream_cx_total":
		return &s.Connections
	case "outlier_detection.ejections_active":
		return &s.EjectedNow
	case "outlier_detection.ejections_enforced_total":
		return &s.Ejections
	case "outlier_detection.ejections_overflow":
		return &s.EjectionOverflow
	case "ssl.fail_verify_no_cert":
		return &s.TLSNoCertificate
	case "ssl.fail_verify_error":
		return &s.TLSBadCertificate
	case "ssl.fail_verify_san":
		return &s.TLSWrongName
	}
	return nil
}
