package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/code"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"fleetman.example/lab/jsonhttp"
)

// The limits of an export request.
const (
	maxBody  = 4 << 20  // bytes, as sent
	maxPlain = 16 << 20 // bytes, without compression
	maxBusy  = 4        // requests that are decoded at the same time
)

// Path is the path of the receiver, as the OTLP specification has it.
const Path = "/v1/traces"

// contentType is the encoding of OTLP that the receiver reads.
const contentType = "application/x-protobuf"

// Receiver is the handler of an OTLP/HTTP endpoint for traces. It answers mistakes in requests with a
// google.rpc.Status, as the OTLP specification requires, and those in single spans with a partial success.
type Receiver struct {
	store    *Store
	forward  *Forwarder // nil: none
	busy     chan struct{}
	admitted admission
}

// NewReceiver returns a receiver that adds spans to a store. It sends them to forward, too, unless that is
// nil.
func NewReceiver(store *Store, forward *Forwarder) *Receiver {
	return &Receiver{store: store, forward: forward, busy: make(chan struct{}, maxBusy)}
}

func (rc *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.URL.Path != Path:
		fail(w, http.StatusNotFound, fmt.Sprintf("path: %.100q: must be %s", r.URL.Path, Path))
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		fail(w, http.StatusMethodNotAllowed, fmt.Sprintf("method: %.20s: must be POST", r.Method))
		return
	case kind != contentType: // also one that a page of another origin cannot send unasked
		fail(w, http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Type: %.100q: must be %s", r.Header.Get("Content-Type"), contentType))
		return
	}
	select {
	case rc.busy <- struct{}{}:
		defer func() { <-rc.busy }()
	case <-r.Context().Done():
		return
	}
	body, status, err := read(w, r)
	if err != nil {
		fail(w, status, err.Error())
		return
	}
	spans, err := decode(body, rc.admitted.admit)
	if err == nil && rc.forward != nil {
		var export collectorpb.ExportTraceServiceRequest
		if err = proto.Unmarshal(body, &export); err == nil {
			rc.forward.Send(export.GetResourceSpans())
		}
	}
	if err != nil {
		fail(w, http.StatusBadRequest, fmt.Sprintf("body: %d bytes: must be an ExportTraceServiceRequest: %v", len(body), err))
		return
	}
	f := convert(spans)
	for id, spans := range f.byTrace {
		rc.store.add(id, spans)
	}
	var answer collectorpb.ExportTraceServiceResponse
	if f.rejected > 0 {
		answer.PartialSuccess = &collectorpb.ExportTracePartialSuccess{RejectedSpans: int64(f.rejected), ErrorMessage: f.why}
	}
	write(w, http.StatusOK, &answer)
}

// read returns the body of a request without its compression, or the status to answer.
func read(w http.ResponseWriter, r *http.Request) (body []byte, status int, err error) {
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("body: longer: must be at most %d bytes", maxBody)
	}
	if err != nil {
		return nil, http.StatusBadRequest, fmt.Errorf("body: %w", err)
	}
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return body, 0, nil
	case "gzip":
	default:
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("Content-Encoding: %.40q: must be gzip, or missing", encoding)
	}
	var plain []byte
	unzip, err := gzip.NewReader(bytes.NewReader(body))
	if err == nil {
		plain, err = io.ReadAll(io.LimitReader(unzip, maxPlain+1))
	}
	switch {
	case err != nil:
		return nil, http.StatusBadRequest, fmt.Errorf("body: must be gzip, by its Content-Encoding: %w", err)
	case len(plain) > maxPlain:
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("body: longer without compression: must be at most %d bytes", maxPlain)
	}
	return plain, 0, nil
}

// fail answers with an error: a google.rpc.Status, or JSON for a caller that does not speak OTLP.
func fail(w http.ResponseWriter, status int, message string) {
	if status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusUnsupportedMediaType {
		jsonhttp.Write(w, status, jsonhttp.Failure{Error: message})
		return
	}
	write(w, status, &rpcstatus.Status{Code: int32(code.Code_INVALID_ARGUMENT), Message: message})
}

func write(w http.ResponseWriter, status int, message proto.Message) {
	body, err := proto.Marshal(message)
	if err != nil {
		status = http.StatusInternalServerError // impossible: all texts are valid UTF-8
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
