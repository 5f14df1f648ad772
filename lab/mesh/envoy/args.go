package envoy

import (
	"encoding/json"
	"strconv"
	"time"
)

// DrainTime is how long listeners close connections gracefully.
const DrainTime = 45 * time.Second

// Args returns the arguments of an Envoy with the given bootstrap file and number of worker threads. 0
// workers means one for each core.
func Args(bootstrap string, workers int) []string {
	args := []string{
		"--config-path", bootstrap,
		"--disable-hot-restart", // it needs shared memory, of which two Envoys would use the same
		"--drain-time-s", strconv.Itoa(int(DrainTime.Seconds())),
		// otherwise pooled connections keep the old policy after a change
		"--drain-strategy", "immediate",
		"--file-flush-interval-msec", "200",
		"--log-level", "warning",
	}
	if workers > 0 {
		args = append(args, "--concurrency", strconv.Itoa(workers))
	}
	return args
}

// AccessLogFormat returns the value of accessLogFormat in Istio's mesh configuration, for
// accessLogEncoding JSON: an object for each request, with the keys of the services' own logs.
// ParseAccess parses it.
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
		panic(err) // impossible for strings
	}
	return string(text)
}
