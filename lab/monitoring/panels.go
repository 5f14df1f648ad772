package monitoring

import "fmt"

// Panel is a graph of one or more queries.
type Panel struct {
	Title   string
	About   string // what the graph shows and what to look for
	Unit    string // of Grafana: reqps, percentunit, s, ms, bytes, short
	Queries []Query
}

// Query is one query of a panel. The legend has labels of its series in double braces.
type Query struct{ Expr, Legend string }

// per returns the rate per second of a counter, summed by labels.
func per(labels, counter string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s[$__rate_interval]))", labels, counter)
}

// upstream adds the label upstream, the name of the service that a proxy's cluster leads to, and leaves out
// the clusters that do not lead to a service of the fleet.
func upstream(expr string) string {
	return fmt.Sprintf(`sum by (app, upstream) (label_replace(%s, "upstream", "$1", "cluster_name", "outbound.*[|]fleetman-([^.]+).*"))`, expr)
}

// proxyPer returns the rate per second of a counter of the proxies, by caller and upstream.
func proxyPer(counter string) string {
	return upstream(fmt.Sprintf(`rate(%s{cluster_name=~"outbound.*fleetman-.*"}[$__rate_interval])`, counter))
}

// libraryPer returns the rate per second of a counter of the library, by caller and upstream.
func libraryPer(counter string) string { return library(per("app, server_address", counter)) }

// library adds the label upstream to series of the library.
func library(expr string) string {
	return fmt.Sprintf(`label_replace(%s, "upstream", "$1", "server_address", "(.*)")`, expr)
}

// quantile returns a quantile of a histogram by labels.
func quantile(q, labels, buckets string) string {
	return fmt.Sprintf("histogram_quantile(%s, sum by (%s, le) (rate(%s[$__rate_interval])))", q, labels, buckets)
}

const (
	served = "http_server_request_duration_seconds"
	called = "http_client_request_duration_seconds"
	hop    = "{{app}} → {{upstream}}"
)

// panel returns a panel.
func panel(title, about, unit string, queries ...Query) Panel {
	return Panel{title, about, unit, queries}
}

// The panels of the entry and of the services.
var (
	outcomes = panel("Requests at the entry", "What users get: all requests at the page's server, those that failed with a 5xx, and those that api-gateway answered with a fallback.", "reqps",
		Query{`sum(rate(` + served + `_count{app="webapp"}[$__rate_interval]))`, "all"},
		Query{`sum(rate(` + served + `_count{app="webapp",http_response_status_code=~"5.."}[$__rate_interval]))`, "failed"},
		Query{`sum(rate(fleetman_upstream_fallbacks_total{app="api-gateway"}[$__rate_interval]))`, "degraded"})
	entryLatency = panel("Latency at the entry", "Time to answer a request at the page's server. Retries and timeouts show in the 99th percentile first.", "s",
		Query{quantile("0.5", "app", served+`_bucket{app="webapp"}`), "p50"},
		Query{quantile("0.99", "app", served+`_bucket{app="webapp"}`), "p99"})
	rates = panel("Requests by service", "Requests that each service received.", "reqps",
		Query{per("app", served+"_count"), "{{app}}"})
	failures = panel("Failed share by service", "Share of a service's requests that it answered with a 5xx. A service without failures has no line.", "percentunit",
		Query{per("app", served+`_count{http_response_status_code=~"5.."}`) + " / " + per("app", served+"_count"), "{{app}}"})
	latency = panel("p99 by service", "99th percentile of the time to answer a request.", "s",
		Query{quantile("0.99", "app", served+"_bucket"), "{{app}}"})
	injected = panel("Injected faults", "Requests that met a fault rule, by the pod and the kind of the fault: the cause to which the other graphs are the effect.", "reqps",
		Query{per("pod, fleetman_fault", served+`_count{fleetman_fault!=""}`), "{{pod}}: {{fleetman_fault}}"})
	reports = panel("Position reports", "Reports that the simulator sent, by result, and reports that were left out because earlier ones were still under way.", "reqps",
		Query{per("outcome", "fleetman_simulator_reports_total"), "{{outcome}}"},
		Query{"sum(rate(fleetman_simulator_reports_skipped_total[$__rate_interval]))", "left out"})
	cpu = panel("CPU by pod", "Cores that a service's process uses, without its proxy.", "short",
		Query{per("pod", "process_cpu_seconds_total"), "{{pod}}"})
	memory = panel("Memory by pod", "Resident memory of a service's process, and memory that its proxy has allocated.", "bytes",
		Query{"sum by (pod) (process_resident_memory_bytes)", "{{pod}}"},
		Query{"sum by (pod) (envoy_server_memory_allocated)", "{{pod}}: proxy"})
	targets = panel("Targets that answer", "Scrapes that succeed, by service. A line that falls is a pod that ended or hangs.", "short",
		Query{"sum by (app) (up)", "{{app}}"})
)

// The panels of a hop, in the library and in the mesh.
var (
	libraryAttempts = panel("Attempts, library", "Attempts of each service at each upstream, as the service counts them.", "reqps",
		Query{libraryPer(called + "_count"), hop})
	meshAttempts = panel("Attempts, mesh", "Attempts of each proxy at each upstream. Where it is above the library's, the proxy retries.", "reqps",
		Query{proxyPer("envoy_cluster_upstream_rq_total"), hop})
	multiplied = panel("Attempts for each request", "How often a request is made on one hop, by the library and by the mesh. 1 is no retry; both together multiply.", "short",
		Query{"1 / (1 - (" + libraryPer("fleetman_upstream_retries_total") + ` / on (app, upstream) ` + libraryPer(called+"_count") + "))", "library: " + hop},
		Query{"1 / (1 - (" + proxyPer("envoy_cluster_upstream_rq_retry") + " / (" + proxyPer("envoy_cluster_upstream_rq_total") + " > 0)))", "mesh: " + hop})
	retries = panel("Retries", "Attempts after the first, by the library and by the mesh.", "reqps",
		Query{libraryPer("fleetman_upstream_retries_total"), "library: " + hop},
		Query{proxyPer("envoy_cluster_upstream_rq_retry"), "mesh: " + hop})
	denied = panel("Retries over the budget", "Retries that the budget did not allow. In an outage this is what keeps load from multiplying.", "reqps",
		Query{libraryPer("fleetman_upstream_retries_denied_total"), "library: " + hop},
		Query{proxyPer("envoy_cluster_upstream_rq_retry_overflow"), "mesh: " + hop})
	open = panel("Breakers open, hosts ejected", "Library: endpoints of an upstream whose breaker is open or half-open in a caller. Mesh: hosts that the caller's proxy has ejected.", "short",
		Query{library(`sum by (app, server_address) (fleetman_upstream_breaker_open)`), "library: " + hop},
		Query{upstream(`envoy_cluster_outlier_detection_ejections_active{cluster_name=~"outbound.*fleetman-.*"}`), "mesh: " + hop})
	openings = panel("Openings and ejections", "Library: changes of a breaker to open. Mesh: ejections that were enforced. A saw-tooth is a host that returns too early.", "short",
		Query{library(`sum by (app, server_address) (increase(fleetman_upstream_breaker_transitions_total{fleetman_breaker_state="open"}[$__rate_interval]))`), "library: " + hop},
		Query{upstream(`increase(envoy_cluster_outlier_detection_ejections_enforced_total{cluster_name=~"outbound.*fleetman-.*"}[$__rate_interval])`), "mesh: " + hop})
	refused = panel("Refused calls", "Calls that were not made. Library: bulkhead full, circuit open. Mesh: limits of the connection pool, no healthy host.", "reqps",
		Query{libraryPer("fleetman_upstream_bulkhead_refused_total"), "library, bulkhead: " + hop},
		Query{libraryPer("fleetman_upstream_breaker_refused_total"), "library, breaker: " + hop},
		Query{proxyPer("envoy_cluster_upstream_rq_pending_overflow"), "mesh, pool: " + hop},
		Query{proxyPer("envoy_cluster_upstream_cx_none_healthy"), "mesh, no healthy host: " + hop})
	timeouts = panel("Timeouts", "Attempts without an answer in time. Library: of any of its timeouts. Mesh: of an attempt, and of a request with all attempts.", "reqps",
		Query{libraryPer(called + `_count{error_type="no answer in time"}`), "library: " + hop},
		Query{proxyPer("envoy_cluster_upstream_rq_per_try_timeout"), "mesh, attempt: " + hop},
		Query{proxyPer("envoy_cluster_upstream_rq_timeout"), "mesh, request: " + hop})
	fallbacks = panel("Fallbacks", "Degraded answers by kind. Only the library has them: a proxy stores no answers.", "reqps",
		Query{per("app, server_address, fleetman_fallback", "fleetman_upstream_fallbacks_total"), "{{app}} → {{server_address}}: {{fleetman_fallback}}"})
	inFlight = panel("Calls in flight", "Concurrent calls of a caller to an upstream, which the bulkhead and the connection pool limit.", "short",
		Query{library(`sum by (app, server_address) (fleetman_upstream_bulkhead_in_flight)`), "library: " + hop},
		Query{upstream(`envoy_cluster_upstream_rq_active{cluster_name=~"outbound.*fleetman-.*"}`), "mesh: " + hop})
	libraryLatency = panel("p99 of an attempt, library", "Until the headers of the answer, as the service measures it.", "s",
		Query{quantile("0.99", "app, server_address", called+"_bucket"), "{{app}} → {{server_address}}"})
	meshLatency = panel("p99 of an attempt, mesh", "As the caller's proxy measures it.", "ms",
		Query{`histogram_quantile(0.99, sum by (app, upstream, le) (label_replace(rate(envoy_cluster_upstream_rq_time_bucket{cluster_name=~"outbound.*fleetman-.*"}[$__rate_interval]), "upstream", "$1", "cluster_name", "outbound.*[|]fleetman-([^.]+).*")))`, hop})
	meshAnswers = panel("Answers through the mesh", "Answers that proxies gave their services, by class of status. A proxy's own 503 and 504 are among them.", "reqps",
		Query{`sum by (app, response_code_class) (rate(envoy_cluster_upstream_rq{cluster_name=~"outbound.*fleetman-.*",response_code_class!=""}[$__rate_interval]))`, "{{app}}: {{response_code_class}}"})
	received = panel("Requests at staff-service for each one at the entry", "What one click costs at the last service: retries of all hops multiplied.", "short",
		Query{`sum(rate(` + served + `_count{app="staff-service",http_request_method="GET"}[$__rate_interval])) / sum(rate(` + served + `_count{app="webapp"}[$__rate_interval]))`, "requests"})
)
