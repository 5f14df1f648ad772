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

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"

	"fleetman.example/lab/jsonhttp"
)

// failure returns an error that the API returns as a Status.
func failure(code int32, reason metav1.StatusReason, format string, args ...any) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Reason: reason, Message: fmt.Sprintf(format, args...), Code: code,
	}}
}

// Handler returns the API's handler. It responds in JSON, which clients that prefer protobuf accept.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f, failed := errors.AsType[*apierrors.StatusError](s.respond(w, r)); failed {
			jsonhttp.Write(w, int(f.ErrStatus.Code), f.ErrStatus)
		}
	})
}

// respond writes the response to a request, unless it returns an error.
func (s *Server) respond(w http.ResponseWriter, r *http.Request) error {
	if !s.authorized(r) {
		return failure(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Authorization: must be the bearer token of the fleet's kubeconfig")
	}
	if namespace, pod, ok := subresource(r, "pods", "portforward"); ok && s.Forward != nil {
		return s.portForward(w, r, namespace, pod)
	}
	if namespace, account, ok := subresource(r, "serviceaccounts", "token"); ok {
		s.token(w, namespace, account)
		return nil
	}
	if command := instead(r); command != "" {
		command = "not served by the local fleet: " + command
		if r.URL.Path == openAPI { // client-go parses no Status of this path, and prints the body of a few codes only
			http.Error(w, command, http.StatusNotAcceptable)
			return nil
		}
		return failure(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "%s", command)
	}
	if found, ok := document(strings.Trim(r.URL.Path, "/")); ok {
		jsonhttp.Write(w, http.StatusOK, found)
		return nil
	}
	q, err := parseRequest(r)
	if err != nil {
		return err
	}
	return s.serve(w, r, &q)
}

// subresource parses the path /api/v1/namespaces/NAMESPACE/RESOURCE/NAME/SUBRESOURCE of a POST request.
func subresource(r *http.Request, resource, name string) (namespace, object string, ok bool) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if r.Method != http.MethodPost || len(parts) != 7 || strings.Join(parts[:3], "/") != "api/v1/namespaces" || parts[4] != resource || parts[6] != name {
		return "", "", false
	}
	return parts[3], parts[5], true
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
	missing := failure(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
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
	if q.namespace == "" && q.name != "" && q.kind.Namespaced || q.namespace != "" && !q.kind.Namespaced {
		return q, missing
	}
	err := q.parseQuery(r)
	return q, err
}

func (q *request) parseQuery(r *http.Request) (err error) {
	query := r.URL.Query()
	bad := func(name string, err error) error {
		return failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, "%s: %.100q: %v", name, query.Get(name), err)
	}
	if q.labels, err = labels.Parse(query.Get("labelSelector")); err != nil {
		return bad("labelSelector", err)
	}
	if q.fields, err = fields.ParseSelector(query.Get("fieldSelector")); err != nil {
		return bad("fieldSelector", err)
	}
	for _, requirement := range q.fields.Requirements() {
		if !slices.Contains(selectable, requirement.Field) {
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

// selectable are the fields that a field selector may use.
var selectable = []string{"metadata.name", "metadata.namespace", "spec.nodeName", "status.phase", "status.podIP", "type"}

func (o *stored) text(path ...string) string { return field[string](o.object, path...) }

// matches reports whether an object is among the requested ones. A nil object is not.
func (q *request) matches(o *stored) bool {
	if o == nil || q.namespace != "" && o.namespace != q.namespace || q.name != "" && o.name != q.name {
		return false
	}
	for _, requirement := range q.fields.Requirements() {
		equal := o.text(strings.Split(requirement.Field, ".")...) == requirement.Value
		if equal != (requirement.Operator != selection.NotEquals) {
			return false
		}
	}
	return q.labels.Matches(labels.Set(stringMap(o.object, "metadata", "labels")))
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, q *request) error {
	if q.watch {
		return s.watch(w, r, q)
	}
	found, version := s.list(q.kind)
	found = slices.DeleteFunc(found, func(o *stored) bool { return !q.matches(o) })
	if q.name != "" {
		if len(found) == 0 {
			return failure(http.StatusNotFound, metav1.StatusReasonNotFound, "%s %q not found", schema.GroupResource{Group: q.kind.Group, Resource: q.kind.Plural}, q.name)
		}
		version = found[0].version
	}
	if q.table {
		jsonhttp.Write(w, http.StatusOK, s.table(q, found, strconv.FormatInt(version, 10)))
		return nil
	}
	rendered := []json.RawMessage{}
	for _, o := range found {
		rendered = append(rendered, q.render(o))
	}
	if q.name != "" {
		jsonhttp.Write(w, http.StatusOK, rendered[0])
		return nil
	}
	list := map[string]any{
		"apiVersion": q.kind.apiVersion(q.version), "kind": q.kind.Kind + "List",
		"metadata": map[string]any{"resourceVersion": strconv.FormatInt(version, 10)}, "items": rendered,
	}
	if q.onlyMetadata {
		list["apiVersion"], list["kind"] = "meta.k8s.io/v1", "PartialObjectMetadataList"
	}
	jsonhttp.Write(w, http.StatusOK, list)
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
