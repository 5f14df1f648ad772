package envoy

import (
	"encoding/json"
	"reflect"
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
	format := map[string]string{"level": "INFO", "msg": "access"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[AccessEntry]()) {
		format[field.Tag.Get("json")] = field.Tag.Get("envoy")
	}
	text, err := json.MarshalIndent(format, "", "  ")
	if err != nil {
		panic(err) // impossible for strings
	}
	return string(text)
}
