package main

import (
	"testing"

	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/server/servertest"
)

func TestConfig(t *testing.T) {
	cfg := servertest.Must(envtest.Read(nil, readConfig))
	if cfg.ListenAddr != ":80" || cfg.gateway.String() != "http://fleetman-api-gateway:8080" || cfg.variant != standard || len(cfg.photoOrigins) != 0 {
		t.Errorf("defaults: %+v", cfg)
	}
	envtest.CheckReadme(t, readConfig)
}

func TestConfigNamesAllBadVariables(t *testing.T) {
	envtest.Refuses(t, map[string]string{
		"VARIANT":          "premium",
		"API_GATEWAY_URL":  "ftp://gateway",
		"LISTEN_ADDR":      "80",
		"MAX_BODY_BYTES":   "-1",
		"UPSTREAM_TIMEOUT": "soon",
		"PHOTO_ORIGINS":    "https://photos.example; script-src *",
	}, readConfig,
		`VARIANT: "premium": must be one of standard, experimental`,
		`API_GATEWAY_URL: "ftp://gateway": must be an address such as http://host:port`,
		`LISTEN_ADDR: "80": must be host:port or :port`,
		`MAX_BODY_BYTES: "-1": must be a whole number`,
		`UPSTREAM_TIMEOUT: "soon": must be a duration`,
		`PHOTO_ORIGINS: "https://photos.example; script-src *": must be origins such as https://photos.example:8443 separated by spaces`)
}

func TestPhotoOrigins(t *testing.T) {
	for value, good := range map[string]bool{
		"https://photos.example":                       true,
		"http://127.0.0.1:*  https://a.example:8443":   true,
		"photos.example":                               false,
		"https://photos.example/path":                  false,
		"https://photos.example,https://other.example": false,
		"'unsafe-inline'":                              false,
		"https://*":                                    false,
		"https://photos.example:65535":                 true,
		"https://photos.example:0":                     false,
		"https://photos.example:65536":                 false,
		"https://photos.example:":                      false,
	} {
		_, err := envtest.Read(map[string]string{"PHOTO_ORIGINS": value}, readConfig)
		if (err == nil) != good {
			t.Errorf("%s: %v, want valid: %t", value, err, good)
		}
	}
}
