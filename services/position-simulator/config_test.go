package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/server/servertest"
)

func TestConfigDefaults(t *testing.T) {
	cfg := servertest.Must(envtest.Read(nil, readConfig))
	if cfg.tracker.String() != "http://fleetman-position-tracker:8080" || len(cfg.routes) != 5 || cfg.fleetSize != 5 ||
		cfg.interval != time.Second || cfg.seed != nil || cfg.upstream.Timeout != time.Minute || cfg.ListenAddr != "" {
		t.Errorf("%+v", cfg)
	}
}

func TestConfigReadsAll(t *testing.T) {
	dir := filepath.Dir(servertest.File(t, "van", "lat=\"1\" lon=\"0\"\nlat=\"1.0001\" lon=\"0\"\n"))
	cfg := servertest.Must(envtest.Read(map[string]string{
		"POSITION_TRACKER_URL": "tracker:9", "TRACKS_DIR": dir, "FLEET_SIZE": "100000",
		"REPORT_INTERVAL": "250ms", "SEED": "18446744073709551615", "UPSTREAM_TIMEOUT": "2s",
	}, readConfig))
	if cfg.tracker.String() != "http://tracker:9" || len(cfg.routes) != 1 || cfg.routes[0].File != "van" || cfg.fleetSize != 100_000 ||
		cfg.interval != 250*time.Millisecond || *cfg.seed != 1<<64-1 || cfg.upstream.Timeout != 2*time.Second {
		t.Errorf("%+v", cfg)
	}
}

func TestConfigReportsAllErrors(t *testing.T) {
	for _, bad := range []map[string]string{
		{"POSITION_TRACKER_URL": "ftp://x", "FLEET_SIZE": "0", "REPORT_INTERVAL": "0s", "SEED": "-1", "UPSTREAM_TIMEOUT": "soon", "ADMIN_ADDR": "nowhere", "DRAIN_TIMEOUT": "-1s"},
		{"POSITION_TRACKER_URL": "http://", "FLEET_SIZE": "100001", "REPORT_INTERVAL": "2h", "SEED": "1.5", "DRAIN_TIMEOUT": "60s"},
		{"TRACKS_DIR": "/nowhere", "OTEL_TRACES_EXPORTER": "smoke", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"},
		{"FLEET_SIZE": "five", "REPORT_INTERVAL": "1", "SEED": "18446744073709551616", "FAULTS": "reset"},
	} {
		_, err := envtest.Read(bad, readConfig)
		if err == nil {
			t.Fatalf("%v accepted", bad)
		}
		for name, value := range bad {
			if !strings.Contains(err.Error(), name+`: "`+value+`": `) {
				t.Errorf("no word of %s=%s in\n%v", name, value, err)
			}
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines != len(bad) {
			t.Errorf("%d lines for %d errors:\n%v", lines, len(bad), err)
		}
	}
}

func TestReadme(t *testing.T) { envtest.CheckReadme(t, readConfig) }
