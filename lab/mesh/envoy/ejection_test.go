package envoy

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestParseEjection: entries are as Envoy 1.40 writes them. Those of detections that are not enforced are no
// ejections.
func TestParseEjection(t *testing.T) {
	for _, test := range []struct {
		line, action, kind string
		ok                 bool
	}{
		{`{"type":"CONSECUTIVE_GATEWAY_FAILURE","timestamp":"2026-11-27T11:02:57.138Z","cluster_name":"outbound|8080||staff","upstream_url":"127.0.1.2:8080","action":"EJECT","num_ejections":0,"enforced":false,"eject_consecutive_event":{}}`, "", "", false},
		{`{"type":"CONSECUTIVE_5XX","timestamp":"2026-11-27T11:02:57.139Z","cluster_name":"outbound|8080||staff","upstream_url":"127.0.1.2:8080","action":"EJECT","num_ejections":1,"enforced":true,"eject_consecutive_event":{}}`, "EJECT", "CONSECUTIVE_5XX", true},
		{`{"type":"CONSECUTIVE_5XX","timestamp":"2026-11-27T11:03:27.139Z","secs_since_last_action":"30","cluster_name":"outbound|8080||staff","upstream_url":"127.0.1.2:8080","action":"UNEJECT","num_ejections":1,"enforced":false}`, "UNEJECT", "CONSECUTIVE_5XX", true},
		{`{"start_time":"2026-11-27T11:02:57.138Z","method":"GET"}`, "", "", false},
		{`not JSON: "upstream_url", "action"`, "", "", false},
	} {
		event, ok := ParseEjection([]byte(test.line))
		assert.Equal(t, []any{test.ok, test.action, test.kind}, []any{ok, event.Action, event.Type}, test.line)
	}
}
