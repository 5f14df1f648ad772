package kube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// watch sends changes until the client disconnects or the request's timeoutSeconds are over. It first
// sends the existing objects when the resource version is empty or 0, or with sendInitialEvents.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, q *request) error {
	if q.initialEvents && !q.bookmarks {
		return failure(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "allowWatchBookmarks: false: must be true with sendInitialEvents")
	}
	after, _ := strconv.ParseInt(q.resourceVersion, 10, 64) // valid: parseQuery has checked it
	_, now, _, known := s.since(after)
	switch {
	case after > now:
		return tooNew(after, now)
	case after != 0 && !q.initialEvents && !known:
		return tooOld(after)
	}
	q.table = false // kubectl get --watch prints objects without a table, too
	stream := &watchStream{w: w, control: http.NewResponseController(w), q: q}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if after == 0 || q.initialEvents {
		found, version := s.list(q.kind)
		for _, o := range found {
			if q.matches(o) {
				stream.send("ADDED", q.render(o))
			}
		}
		after = version
		if q.initialEvents {
			stream.bookmark(after, true)
		}
	}
	stream.flush()
	s.follow(r, q, stream, after)
	return nil
}

func tooOld(version int64) *apierrors.StatusError {
	return failure(http.StatusGone, metav1.StatusReasonExpired, "too old resource version: %d", version)
}

// tooNew returns an error with the cause after which client-go lists again.
func tooNew(version, now int64) error {
	f := failure(http.StatusGatewayTimeout, metav1.StatusReasonTimeout, "Too large resource version: %d, current: %d", version, now)
	f.ErrStatus.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: f.ErrStatus.Message}}}
	return f
}

func (s *Server) follow(r *http.Request, q *request, stream *watchStream, after int64) {
	var timeout <-chan time.Time
	if q.timeoutSeconds > 0 {
		timer := time.NewTimer(time.Duration(q.timeoutSeconds) * time.Second)
		defer timer.Stop()
		timeout = timer.C
	}
	ticker := time.NewTicker(s.bookmarkEvery)
	defer ticker.Stop()
	for stream.err == nil {
		changes, now, more, known := s.since(after)
		if !known {
			status, _ := json.Marshal(tooOld(after).ErrStatus)
			stream.send("ERROR", status)
			stream.flush()
			return
		}
		for _, c := range changes {
			if c.kind == q.kind {
				stream.change(&c)
			}
		}
		after = now
		stream.flush()
		select {
		case <-more:
		case <-ticker.C:
			if q.bookmarks {
				stream.bookmark(after, false)
			}
		case <-timeout:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// watchStream writes events; after an error it does nothing.
type watchStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	q       *request
	err     error
}

// change sends a change. With a selector, an object that begins to match is ADDED and one that ceases to
// match is DELETED.
func (t *watchStream) change(c *change) {
	before, after := t.q.matches(c.from), t.q.matches(c.to)
	switch {
	case after && before:
		t.send("MODIFIED", t.q.render(c.to))
	case after:
		t.send("ADDED", t.q.render(c.to))
	case before:
		data, err := c.from.encode(t.q.version, c.version)
		if err != nil {
			t.err = err
			return
		}
		if t.q.onlyMetadata {
			data = metadataOf(data)
		}
		t.send("DELETED", data)
	}
}

// bookmark sends a bookmark with the version that the client has now. last marks the end of the initial
// events.
func (t *watchStream) bookmark(version int64, last bool) {
	mark := metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: t.q.kind.apiVersion(t.q.version), Kind: t.q.kind.Kind},
		ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatInt(version, 10)},
	}
	if t.q.onlyMetadata {
		mark.TypeMeta = metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"}
	}
	if last {
		mark.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	}
	data, _ := json.Marshal(mark)
	t.send("BOOKMARK", data)
}

func (t *watchStream) send(event string, object []byte) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, "{\"type\":%q,\"object\":%s}\n", event, object)
	}
}

func (t *watchStream) flush() {
	if t.err == nil {
		t.err = t.control.Flush()
	}
}
