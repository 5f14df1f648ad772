package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"fleetman.example/lab/jsonhttp"
)

// built is the page that `make ui` builds; in a fresh clone it is only a placeholder.
//
//go:embed all:ui/dist
var built embed.FS

// ErrNotBuilt is the error of Serve in a program that was built without the page.
var ErrNotBuilt = errors.New("console: page not built: run make ui")

// policy is the page's Content-Security-Policy.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// tokenPlace is where index.html has the token.
const tokenPlace = "CONSOLE_TOKEN"

// page serves the built files.
type page struct {
	files fs.FS
	index []byte
}

func newPage() (*page, error) {
	files, _ := fs.Sub(built, "ui/dist") // the path is a valid one
	index, err := fs.ReadFile(files, "index.html")
	if err != nil { // built has it, or not
		return nil, ErrNotBuilt
	}
	if bytes.Count(index, []byte(tokenPlace)) != 1 {
		return nil, fmt.Errorf("console: index.html: must have %s once", tokenPlace)
	}
	return &page{files, index}, nil
}

// types has the content types of the page's files. Package mime uses tables that differ between machines.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

func (p *page) serve(w http.ResponseWriter, r *http.Request, token string) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	var body []byte
	var err error
	switch {
	case name == "" || name == "index.html":
		name, body = "index.html", bytes.Replace(p.index, []byte(tokenPlace), []byte(token), 1)
	case !fs.ValidPath(name) || types[path.Ext(name)] == "":
		err = fs.ErrNotExist
	default:
		body, err = fs.ReadFile(p.files, name)
	}
	if err != nil {
		jsonhttp.Error(w, http.StatusNotFound, errors.New("no such file"))
		return
	}
	if strings.HasPrefix(name, "assets/") { // the names contain a hash of the content
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Content-Type", types[path.Ext(name)])
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}
