package main

import (
	"embed"
	"io/fs"
	"net/http"
	"os"

	"fleetman.example/kit/server"
)

// built is the page that `make ui` builds; in a fresh clone it is only a placeholder.
//
//go:embed all:ui/dist
var built embed.FS

var run = server.Program("webapp", readConfig, build)

func main() { os.Exit(server.Main(run)) }

func build(cfg config, app server.App) (http.Handler, error) {
	cfg.Upstream.State.Mount(app.Admin)
	dist, err := fs.Sub(built, "ui/dist")
	if err != nil {
		return nil, err
	}
	page, err := newPage(dist, cfg.Variant, cfg.PhotoOrigins)
	if err != nil {
		return nil, err
	}
	return api{page: page, gateway: newForwarder(cfg, app.Observer)}.routes(app.Router), nil
}
