package main

import (
	"strings"
	"testing"
	"time"

	"fleetman.example/kit/env"
	"fleetman.example/kit/env/envtest"
)

func TestConfigDefaults(t *testing.T) {
	r := env.New(envtest.Map(nil))
	cfg := readConfig(r, 42)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if cfg.tracker.String() != "http://fleetman-position-tracker:8080" || cfg.tracksDir != "" || cfg.fleetSize != 5 ||
		cfg.interval != time.Second || cfg.seed != 42 || cfg.upstream.Timeout != time.Minute || cfg.server.ListenAddr != "" {
		t.Errorf("%+v", cfg)
	}
}

func TestConfigReadsAll(t *testing.T) {
	r := env.New(envtest.Map(map[string]string{
		"POSITION_TRACKER_URL": "tracker:9", "TRACKS_DIR": "t", "FLEET_SIZE": "100000",
		"REPORT_INTERVAL": "250ms", "SEED": "18446744073709551615", "UPSTREAM_TIMEOUT": "2s",
	}))
	cfg := readConfig(r, 42)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if cfg.tracker.String() != "http://tracker:9" || cfg.tracksDir != "t" || cfg.fleetSize != 100_000 ||
		cfg.interval != 250*time.Millisecond || cfg.seed != 1<<64-1 || cfg.upstream.Timeout != 2*time.Second {
		t.Errorf("%+v", cfg)
	}
}

func TestConfigTellsAllErrorsAtOnce(t *testing.T) {
	for _, bad := range []map[string]string{
		{"POSITION_TRACKER_URL": "ftp://x", "FLEET_SIZE": "0", "REPORT_INTERVAL": "0s", "SEED": "-1", "UPSTREAM_TIMEOUT": "soon", "ADMIN_ADDR": "nowhere", "DRAIN_TIMEOUT": "-1s"},
		{"POSITION_TRACKER_URL": "http://", "FLEET_SIZE": "100001", "REPORT_INTERVAL": "2h", "SEED": "1.5"},
		{"FLEET_SIZE": "five", "REPORT_INTERVAL": "1", "SEED": "18446744073709551616"},
	} {
		r := env.New(envtest.Map(bad))
		readConfig(r, 42)
		err := r.Err()
		if err == nil {
			t.Fatalf("%v accepted", bad)
		}
		for name, value := range bad {
			if !strings.Contains(err.Error(), name+`="`+value+`": expected `) {
				t.Errorf("no word of %s=%s in\n%v", name, value, err)
			}
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines != len(bad) {
			t.Errorf("%d lines for %d errors:\n%v", lines, len(bad), err)
		}
	}
}

func TestReadme(t *testing.T) {
	r := env.New(envtest.Map(nil))
	readConfig(r, 42)
	envtest.CheckReadme(t, "README.md", r.Table())
}
