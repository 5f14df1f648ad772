package kube

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// failure is an error that the API returns as a Status. reason is one of metav1's StatusReasons.
type failure struct {
	code            int
	reason, message string
}

func (f failure) Error() string { return f.message }

func (f failure) status() metav1.Status {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Reason: metav1.StatusReason(f.reason), Message: f.message, Code: int32(f.code),
	}
	if f.reason == tooNew {
		// client-go lists again when the cause is this one
		status.Reason = metav1.StatusReasonTimeout
		status.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: tooNew, Message: f.message}}}
	}
	return status
}

const tooNew = "ResourceVersionTooLarge"

// Handler returns the API's handler. It responds in JSON, which clients that prefer protobuf accept.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.authorized(r) {
			writeFailure(w, failure{http.StatusUnauthorized, "Unauthorized", "Authorization: must be the bearer token of the fleet's kubeconfig"})
			return
		}
		if namespace, pod, ok := forwarded(r.URL.Path); ok && s.Forward != nil && r.Method == http.MethodPost {
			if f, failed := errors.AsType[failure](s.portForward(w, r, namespace, pod)); failed {
				writeFailure(w, f)
			}
			return
		}
		if account, ok := tokenOf(r.URL.Path); ok && r.Method == http.MethodPost {
			s.token(w, account)
			return
		}
		if command := instead(r); command != "" {
			command = "not served by the local fleet: " + command
			if r.URL.Path == openAPI { // client-go parses no Status of this path, and prints the body of a few codes only
				http.Error(w, command, http.StatusNotAcceptable)
				return
			}
			writeFailure(w, failure{http.StatusMethodNotAllowed, "MethodNotAllowed", command})
			return
		}
		if found, ok := document(strings.Trim(r.URL.Path, "/")); ok {
			writeJSON(w, http.StatusOK, found)
			return
		}
		q, err := parseRequest(r)
		if err == nil {
			err = s.serve(w, r, q)
		}
		if f, ok := errors.AsType[failure](err); ok {
			writeFailure(w, f)
		}
	})
}

func (s *Server) authorized(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return s.Token == "" || ok && subtle.ConstantTimeCompare([]byte(token), []byte(s.Token)) == 1
}

// request is a parsed get, list or watch.
type request struct {
	kind            *Kind
	version         string // of the kind
	namespace, name string // empty: all
	onlyMetadata    bool
	table           bool
	includeObject   string // in a table's rows: None, Metadata or Object
	watch           bool
	bookmarks       bool
	initialEvents   bool
	resourceVersion string
	timeoutSeconds  int // 0: none
	labels          labels.Selector
	fields          fields.Selector
}

func parseRequest(r *http.Request) (request, error) {
	accept := r.Header.Get("Accept")
	q := request{onlyMetadata: strings.Contains(accept, "as=PartialObjectMetadata"), table: strings.Contains(accept, "as=Table;v=v1;g=meta.k8s.io")}
	missing := failure{http.StatusNotFound, "NotFound", "the server could not find the requested resource"}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	group := ""
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		q.version, parts = parts[1], parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		group, q.version, parts = parts[1], parts[2], parts[3:]
	default:
		return q, missing
	}
	if parts[0] == "namespaces" && len(parts) >= 3 {
		q.namespace, parts = parts[1], parts[2:]
	}
	if q.kind = byPlural(group, q.version, parts[0]); q.kind == nil || len(parts) > 2 {
		return q, missing
	}
	if len(parts) == 2 {
		q.name = parts[1]
	}
	if !q.kind.Namespaced && q.namespace != "" {
		return q, missing
	}
	return q, q.parseQuery(r)
}

func (q *request) parseQuery(r *http.Request) (err error) {
	query := r.URL.Query()
	bad := func(name string, err error) error {
		return failure{http.StatusBadRequest, "BadRequest", fmt.Sprintf("%s: %.100q: %v", name, query.Get(name), err)}
	}
	if q.labels, err = labels.Parse(query.Get("labelSelector")); err != nil {
		return bad("labelSelector", err)
	}
	if q.fields, err = fields.ParseSelector(query.Get("fieldSelector")); err != nil {
		return bad("fieldSelector", err)
	}
	for _, requirement := range q.fields.Requirements() {
		if fieldOf[requirement.Field] == nil {
			return bad("fieldSelector", fmt.Errorf("field %q is not supported", requirement.Field))
		}
	}
	for name, to := range map[string]*bool{"watch": &q.watch, "allowWatchBookmarks": &q.bookmarks, "sendInitialEvents": &q.initialEvents} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		if *to, err = strconv.ParseBool(text); err != nil {
			return bad(name, err)
		}
	}
	if text := query.Get("timeoutSeconds"); text != "" {
		if q.timeoutSeconds, err = strconv.Atoi(text); err != nil {
			return bad("timeoutSeconds", err)
		}
	}
	switch q.includeObject = query.Get("includeObject"); q.includeObject {
	case "", "None", "Metadata", "Object":
	default:
		return bad("includeObject", errors.New("must be None, Metadata or Object"))
	}
	q.resourceVersion = query.Get("resourceVersion")
	if q.resourceVersion != "" {
		if _, err := strconv.ParseUint(q.resourceVersion, 10, 63); err != nil {
			return bad("resourceVersion", err)
		}
	}
	return nil
}

// fieldOf has the fields that a field selector may use.
var fieldOf = map[string]func(*stored) string{
	"metadata.name":      func(o *stored) string { return o.name },
	"metadata.namespace": func(o *stored) string { return o.namespace },
	"spec.nodeName":      func(o *stored) string { return o.text("spec", "nodeName") },
	"status.phase":       func(o *stored) string { return o.text("status", "phase") },
	"status.podIP":       func(o *stored) string { return o.text("status", "podIP") },
	"type":               func(o *stored) string { return o.text("type") },
}

func (o *stored) text(path ...string) string {
	text, _, _ := unstructured.NestedString(o.object, path...)
	return text
}

// matches reports whether an object is among the requested ones. A nil object is not.
func (q *request) matches(o *stored) bool {
	if o == nil || q.namespace != "" && o.namespace != q.namespace || q.name != "" && o.name != q.name {
		return false
	}
	set, _, _ := unstructured.NestedStringMap(o.object, "metadata", "labels")
	if !q.labels.Matches(labels.Set(set)) {
		return false
	}
	for _, requirement := range q.fields.Requirements() {
		equal := fieldOf[requirement.Field](o) == requirement.Value
		if equal != (requirement.Operator != "!=") {
			return false
		}
	}
	return true
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, q request) error {
	if q.watch {
		return s.watch(w, r, &q)
	}
	if q.name != "" {
		o := s.get(q.kind, q.namespace, q.name)
		if o == nil {
			return failure{http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", q.kind.key(), q.name)}
		}
		if q.table {
			writeJSON(w, http.StatusOK, s.table(&q, []*stored{o}, strconv.FormatInt(o.version, 10)))
			return nil
		}
		writeRaw(w, q.render(o))
		return nil
	}
	found, version := s.list(q.kind)
	if q.table {
		found = slices.DeleteFunc(found, func(o *stored) bool { return !q.matches(o) })
		writeJSON(w, http.StatusOK, s.table(&q, found, strconv.FormatInt(version, 10)))
		return nil
	}
	items := []json.RawMessage{}
	for _, o := range found {
		if q.matches(o) {
			items = append(items, q.render(o))
		}
	}
	list := map[string]any{
		"apiVersion": q.kind.apiVersion(q.version), "kind": q.kind.Kind + "List",
		"metadata": map[string]any{"resourceVersion": strconv.FormatInt(version, 10)}, "items": items,
	}
	if q.onlyMetadata {
		list["apiVersion"], list["kind"] = "meta.k8s.io/v1", "PartialObjectMetadataList"
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// render returns the object in the requested version and form.
func (q *request) render(o *stored) json.RawMessage {
	data := o.json[q.version]
	if q.onlyMetadata {
		return metadataOf(data)
	}
	return data
}

func metadataOf(object json.RawMessage) json.RawMessage {
	var whole struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	_ = json.Unmarshal(object, &whole) // encoded by this package
	return fmt.Appendf(nil, `{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":%s}`, whole.Metadata)
}

func writeFailure(w http.ResponseWriter, f failure) { writeJSON(w, f.code, f.status()) }

func writeJSON(w http.ResponseWriter, code int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		code, data = http.StatusInternalServerError, []byte(`{"apiVersion":"v1","kind":"Status","status":"Failure","code":500}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(data)
}

func writeRaw(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data)
}
