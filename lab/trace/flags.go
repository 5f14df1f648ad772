package trace

import "strings"

// responseFlags are the meanings of Envoy's response flags
// (envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage).
var responseFlags = map[string]string{
	"DC": "caller gone", "DF": "name not found", "DI": "delay injected", "DO": "overload manager", "DPE": "malformed request",
	"DT": "longest duration reached", "FI": "fault injected", "IH": "invalid header", "LH": "health check failed", "LR": "local reset",
	"NC": "no cluster", "NFCF": "no filter configuration", "NR": "no route", "OM": "overload manager", "RL": "rate limited",
	"RLSE": "rate limit service failed", "SI": "idle timeout", "UAEX": "denied by authorization", "UC": "connection closed",
	"UF": "connection failed", "UH": "no healthy endpoint", "UMSDR": "longest duration reached", "UO": "circuit breaker limit",
	"UPE": "malformed answer", "UR": "reset by the upstream", "URX": "retry limit reached", "UT": "no answer in time",
}

// flagReasons returns the meanings of response flags, such as "UF,URX"; "-" has none.
func flagReasons(flags string) string {
	var reasons []string
	for flag := range strings.SplitSeq(flags, ",") {
		if flag == "" || flag == "-" {
			continue
		}
		if meaning, ok := responseFlags[flag]; ok {
			flag = meaning + " (" + flag + ")"
		}
		reasons = append(reasons, flag)
	}
	return strings.Join(reasons, ", ")
}
