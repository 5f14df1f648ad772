package envoy

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// The statistics of Traffic. They are polled: a proxy that routes to every Service has thousands.
const (
	inboundTraffic  = `inbound\|.*;\.upstream_rq_\d\d\d`
	outboundTraffic = `outbound\|.*;\.(upstream_(rq_(total|\d\d\d|retry(_success|_overflow)?|pending_overflow)|cx_(total|connect_fail))|outlier_detection\.ejections_active|.*ssl\.handshake)`
	gatewayTraffic  = `outbound\|.*;\.upstream_rq_time`
)

// Traffic returns the counters of attempts, responses, retries, connections and ejections of outbound clusters,
// and the responses of inbound ones, keyed by name. Those that have never changed are 0. Of a gateway, which has
// no program that measures, it returns the times of responses, too; Envoy updates them every 5 s.
func (c *Client) Traffic(ctx context.Context, gateway bool) (map[string]*ClusterStats, error) {
	query := url.Values{"filter": {`^cluster\.(` + inboundTraffic + "|" + outboundTraffic + ")$"}}
	if gateway {
		query.Set("filter", `^cluster\.(`+outboundTraffic+"|"+gatewayTraffic+")$")
		query.Set("histogram_buckets", "cumulative")
	}
	return c.used(ctx, query)
}

// used returns the statistics of clusters that have changed since Envoy started. They are read as text: Envoy's
// JSON costs several times as much.
func (c *Client) used(ctx context.Context, query url.Values) (map[string]*ClusterStats, error) {
	query.Set("usedonly", "")
	body, err := c.do(ctx, http.MethodGet, "/stats", query)
	if err != nil {
		return nil, err
	}
	return parseTraffic(body), nil
}

// parseTraffic reads lines such as cluster.outbound|8080||HOST;.upstream_rq_total: 12. It is called every second
// for every proxy, so that it copies only names that are new.
func parseTraffic(text []byte) map[string]*ClusterStats {
	clusters := map[string]*ClusterStats{}
	for line := range bytes.Lines(text) {
		stat, value, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(": "))
		name, counter, found := bytes.Cut(bytes.TrimPrefix(stat, []byte("cluster.")), []byte(";."))
		if !ok || !found {
			continue
		}
		cluster := clusters[string(name)]
		if cluster == nil {
			cluster = &ClusterStats{Cluster: string(name), Codes: map[int]uint64{}}
			clusters[cluster.Cluster] = cluster
		}
		if string(counter) == "upstream_rq_time" {
			cluster.Took = parseBuckets(value)
		} else if n, err := strconv.ParseUint(string(value), 10, 64); err == nil {
			cluster.set(string(counter), n)
		}
	}
	return clusters
}

// parseBuckets reads buckets in milliseconds, such as B0.5(0,0) B1(0,2): the second number is the count since
// the start.
func parseBuckets(text []byte) (buckets []Bucket) {
	for field := range bytes.FieldsSeq(text) {
		bound, counts, _ := bytes.Cut(bytes.TrimPrefix(field, []byte("B")), []byte("("))
		_, count, _ := bytes.Cut(bytes.TrimSuffix(counts, []byte(")")), []byte(","))
		milliseconds, err := strconv.ParseFloat(string(bound), 64)
		n, countErr := strconv.ParseUint(string(count), 10, 64)
		if err != nil || countErr != nil {
			return nil // "No recorded values"
		}
		buckets = append(buckets, Bucket{milliseconds / 1000, n})
	}
	return buckets
}
