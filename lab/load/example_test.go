package load_test

import (
	"context"
	"fmt"
	"time"

	"fleetman.example/lab/load"
)

// The latency of a request counts from its intended start, so it includes the time that the request waits
// for slow ones before it.
func ExampleRun() {
	plan := load.Plan{Schedule: load.Pace(100), Duration: 50 * time.Millisecond, MaxInFlight: 10}
	for _, request := range load.Run(context.Background(), plan, func(_ context.Context, n int) string {
		return fmt.Sprintf("response %d", n)
	}) {
		fmt.Println(request.Intended, request.Outcome, request.Latency() >= 0)
	}
	// Output:
	// 0s response 0 true
	// 10ms response 1 true
	// 20ms response 2 true
	// 30ms response 3 true
	// 40ms response 4 true
}

func ExamplePace() {
	pace := load.Pace(4) // requests per second
	fmt.Println(pace.Due(6), load.Count(pace, time.Second))
	// Output:
	// 1.5s 4
}
