package envoy

import (
	"encoding/json"
	"strconv"
	"time"
)

// DrainTime is how long listeners go on closing connections gracefully.
const DrainTime = 45 * time.Second

// Args is the command line of an Envoy with the given bootstrap file and number
// of worker threads, 0 for as many as there are cores.
func Args(bootstrap string, workers int) []string {
	args := []string{
		"--config-path", bootstrap,
		"--disable-hot-restart", // it needs shared memory that two Envoys would fight for
		"--drain-time-s", strconv.Itoa(int(DrainTime.Seconds())),
		// else pooled connections keep the old policy after a change
		"--drain-strategy", "immediate",
		"--file-flush-interval-msec", "200",
		"--log-level", "warning",
	}
	if workers > 0 {
		args = append(args, "--concurrency", strconv.Itoa(workers))
	}
	return args
}

// ValidateArgs checks a bootstrap file and exits.
func ValidateArgs(bootstrap string) []string {
	return []string{"--config-path", bootstrap, "--mode", "validate", "--log-level", "error"}
}

// AccessLogFormat is accessLogFormat of Istio's mesh configuration, with
// accessLogEncoding JSON: one object a request with the keys of the services'
// own logs, read back by AccessEntry.
func AccessLogFormat() string {
	text, err := json.MarshalIndent(map[string]string{
		"time":             "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
		"level":            "INFO",
		"msg":              "access",
		"trace_id":         "%TRACE_ID%",
		"request_id":       "%REQ(X-REQUEST-ID)%",
		"check":            "%REQ(X-FLEETMAN-CHECK)%",
		"method":           "%REQ(:METHOD)%",
		"path":             "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
		"host":             "%REQ(:AUTHORITY)%",
		"status":           "%RESPONSE_CODE%",
		"flags":            "%RESPONSE_FLAGS%",
		"details":          "%RESPONSE_CODE_DETAILS%",
		"terminated":       "%CONNECTION_TERMINATION_DETAILS%",
		"transport_error":  "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
		"duration_ms":      "%DURATION%",
		"tries":            "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
		"cluster":          "%UPSTREAM_CLUSTER_RAW%",
		"upstream":         "%UPSTREAM_HOST%",
		"downstream":       "%DOWNSTREAM_REMOTE_ADDRESS%",
		"identity":         "%DOWNSTREAM_PEER_URI_SAN%",
		"fault":            "%RESP(X-FAULT)%",
		"route":            "%ROUTE_NAME%",
		"downstream_local": "%DOWNSTREAM_LOCAL_ADDRESS%",
	}, "", "  ")
	if err != nil {
		panic(err) // strings can always be written
	}
	return string(text)
}
