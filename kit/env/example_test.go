package env_test

import (
	"fmt"
	"time"

	"fleetman.example/kit/env"
)

func Example() {
	environment := map[string]string{"UPSTREAM_TIMEOUT": "2s", "RETRY_ATTEMPTS": "4"}
	r := env.New(func(name string) string { return environment[name] })

	timeout := r.Duration("UPSTREAM_TIMEOUT", time.Minute, time.Millisecond, time.Hour, "longest wait for an upstream's answer")
	attempts := r.Int("RETRY_ATTEMPTS", 3, 1, 10, "attempts of a request, the first included")
	fmt.Println(timeout, attempts, r.Err())
	fmt.Print(r.Table())
	// Output:
	// 2s 4 <nil>
	// | variable | default | meaning |
	// | --- | --- | --- |
	// | `UPSTREAM_TIMEOUT` | `1m` | longest wait for an upstream's answer |
	// | `RETRY_ATTEMPTS` | `3` | attempts of a request, the first included |
}

// Err names every wrong variable, not only the first.
func ExampleReader_Err() {
	environment := map[string]string{"UPSTREAM_TIMEOUT": "2", "FALLBACK": "maybe"}
	r := env.New(func(name string) string { return environment[name] })
	r.Duration("UPSTREAM_TIMEOUT", time.Minute, time.Millisecond, time.Hour, "")
	r.Bool("FALLBACK", false, "")
	fmt.Println(r.Err())
	// Output:
	// configuration: UPSTREAM_TIMEOUT: "2": must be a duration from 1ms to 1h, such as 1m
	// FALLBACK: "maybe": must be true or false
}
