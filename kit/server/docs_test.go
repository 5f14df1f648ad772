package server_test

import (
	"testing"

	"fleetman.example/kit/env"
	"fleetman.example/kit/env/envtest"
	"fleetman.example/kit/server"
	"fleetman.example/kit/upstream"
)

func TestSharedConfigurationIsDocumented(t *testing.T) {
	r := env.New(envtest.Map(nil))
	server.ReadConfig(r, ":8080")
	upstream.ReadConfig(r)
	envtest.CheckTable(t, "../../docs/configuration.md", r.SharedTable())
}
