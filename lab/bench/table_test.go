package bench

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"fleetman.example/lab/golden"
)

func sample() *Result {
	return &Result{
		cpu: []comparison{
			{"api-gateway, CPU per request to a plain `net/http` handler's", targetGateway, spread{1.2, 1.1, 1.3}, spread{48, 45, 52}, spread{40, 39, 44}},
			{"the same to `httputil.ReverseProxy`'s", targetProxy, spread{.8, .75, .86}, spread{48, 45, 52}, spread{60, 58, 63}},
			{"api-gateway with the whole resilience chain to a plain handler", targetWhole, spread{1.33, 1.3, 1.45}, spread{53, 50, 58}, spread{40, 39, 44}},
			{"position chain, CPU per report to plain handlers'", targetChain, spread{1.308, 1.25, 1.4}, spread{170, 160, 180}, spread{130, 125, 140}},
		},
		plain: point{vehicles: 6000, p99: 40 * time.Millisecond, rate: 6001},
		curve: []point{
			{vehicles: 1000, p99: 3 * time.Millisecond, rate: 1001, cores: .2, sender: .1, others: .05, stolen: .31, memory: 80e6},
			{vehicles: 3000, p99: 9 * time.Millisecond, rate: 2998, cores: .6, sender: .3, others: .04, memory: 120e6},
			{vehicles: 6000, p99: 31 * time.Millisecond, rate: 5990, cores: 1.2, sender: .5, memory: 180e6},
		},
		beyond: []point{{vehicles: 7000, p99: math.MaxInt64, rate: 5000, lost: 312, cores: 1.5, sender: .5, memory: 900e6}},
		programs: []program{
			{"staff-service", spread{12, 11, 15}, 21_900_000, 23_000_000},
			{"webapp", spread{13.4, 12, 19}, 21_950_000, 24_100_000},
		},
	}
}

func TestMarkdown(t *testing.T) {
	missed := sample()
	missed.cpu[1].ratio.median, missed.curve[1].p99 = 1.01, 51*time.Millisecond
	missed.programs[1].binary = 22_000_001
	gatewayOnly := &Result{cpu: sample().cpu[:3]}
	for _, tc := range []struct {
		name   string
		result *Result
		missed bool
	}{{"holds", sample(), false}, {"missed", missed, true}, {"gateway", gatewayOnly, false}} {
		assert.Equal(t, tc.missed, tc.result.Missed(), tc.name+": missed")
		tc.result.machine = machine{"2026-11-22", "Some CPU", "go1.26.8", 2, tc.missed}
		golden.Compare(t, filepath.Join("testdata", tc.name+".md"), tc.result.Markdown())
	}
}

func TestHolds(t *testing.T) {
	for name, p := range map[string]point{
		"good": {vehicles: 1000, p99: 49 * time.Millisecond, rate: 990},
		"late": {vehicles: 1000, p99: targetP99, rate: 990},
		"lost": {vehicles: 1000, p99: 49 * time.Millisecond, rate: 990, lost: 1},
		"slow": {vehicles: 1000, p99: 49 * time.Millisecond, rate: 900},
	} {
		assert.Equal(t, name == "good", p.holds(), name)
	}
}
