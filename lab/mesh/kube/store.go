package kube

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"fleetman.example/lab/manifest"
)

// Object is the JSON of a Kubernetes object.
type Object = map[string]any

// historySize is how many changes the server keeps. A client that is further behind has to list again. A
// change of a pod's readiness makes two or three changes.
const historySize = 10_000

// Server is the API server. Forward and Token must be set before its first request.
type Server struct {
	// Forward resolves pods' ports for port-forward. Nil means that pods have no ports.
	Forward Forward
	// Token is the bearer token that every request must have. Empty means that none is required.
	Token string

	clock         func() time.Time
	bookmarkEvery time.Duration

	mu      sync.Mutex
	version int64 // of the last change
	oldest  int64 // the first version from which the history is complete
	objects map[string]map[string]*stored
	history []change
	more    chan struct{} // closed, and replaced, at every change
}

// stored is one version of an object. It is immutable.
type stored struct {
	kind            *Kind
	namespace, name string
	given           Object // to Replace
	object          Object // with the fields that the server sets
	version         int64
	json            map[string][]byte // by the version of the kind
}

// change is the creation, update or deletion of an object. from is nil for a creation, to for a deletion.
type change struct {
	kind     *Kind
	version  int64
	from, to *stored
}

// NewServer returns a server without objects. Its resource versions start at the clock's microseconds, so
// that those of an earlier server are too old: the new server does not have the changes since then.
func NewServer(clock func() time.Time) *Server {
	now := clock().UnixMicro()
	return &Server{
		clock: clock, bookmarkEvery: 30 * time.Second,
		version: now, oldest: now, objects: map[string]map[string]*stored{}, more: make(chan struct{}),
	}
}

// Replace replaces all objects by the given ones, atomically. Unchanged objects keep their version; all
// other changes are sent to watches. After an error nothing has changed.
func (s *Server) Replace(objects []Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[string]map[string]*stored{}
	for _, object := range objects {
		made, err := identify(object)
		if err != nil {
			return err
		}
		key, of := made.key(), made.kind.key()
		if next[of] == nil {
			next[of] = map[string]*stored{}
		}
		if next[of][key] != nil {
			return fmt.Errorf("%s %s: must be unique", made.kind.Kind, key)
		}
		next[of][key] = made
	}
	changes, version, err := s.compare(next)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return nil
	}
	s.objects, s.version = next, version
	s.history = append(s.history, changes...)
	if extra := len(s.history) - historySize; extra > 0 {
		s.oldest = s.history[extra-1].version
		s.history = slices.Clone(s.history[extra:])
	}
	close(s.more)
	s.more = make(chan struct{})
	return nil
}

// compare returns the changes from the server's objects to the next ones. It gives new and changed
// objects their versions and replaces unchanged ones by the stored ones.
func (s *Server) compare(next map[string]map[string]*stored) (changes []change, version int64, err error) {
	version = s.version
	for i := range kinds {
		kind := &kinds[i]
		before, after := s.objects[kind.key()], next[kind.key()]
		for _, key := range slices.Sorted(maps.Keys(after)) {
			old, made := before[key], after[key]
			if old != nil && reflect.DeepEqual(old.given, made.given) {
				after[key] = old
				continue
			}
			version++
			if err := made.finish(version, old, s.clock()); err != nil {
				return nil, 0, err
			}
			changes = append(changes, change{kind: kind, version: version, from: old, to: made})
		}
		for _, key := range slices.Sorted(maps.Keys(before)) {
			if after[key] == nil {
				version++
				changes = append(changes, change{kind: kind, version: version, from: before[key]})
			}
		}
	}
	return changes, version, nil
}

func identify(object Object) (*stored, error) {
	apiVersion, name := field[string](object, "apiVersion"), field[string](object, "kind")
	kind := KindOf(apiVersion, name)
	if kind == nil {
		return nil, fmt.Errorf("kind: %s %s: must be a kind that the API serves", apiVersion, name)
	}
	made := &stored{kind: kind, given: object, name: field[string](object, "metadata", "name"), namespace: field[string](object, "metadata", "namespace")}
	if made.name == "" || kind.Namespaced != (made.namespace != "") {
		return nil, fmt.Errorf("%s %q in namespace %q: must have a name, and a namespace if its kind has one", kind.Kind, made.name, made.namespace)
	}
	return made, nil
}

func (o *stored) ref() string {
	return manifest.Object{Kind: o.kind.Kind, Namespace: o.namespace, Name: o.name}.Ref()
}

func (o *stored) key() string { return objectKey(o.namespace, o.name) }

func objectKey(namespace, name string) string { return namespace + "/" + name }

// finish sets the fields that the server sets and encodes the object.
func (o *stored) finish(version int64, old *stored, now time.Time) error {
	given := mapOf(o.given["metadata"])
	metadata := maps.Clone(given)
	metadata["uid"], metadata["generation"], metadata["creationTimestamp"] = uid(o.kind.key(), o.key(), version), float64(1), now.UTC().Format(time.RFC3339)
	if old != nil {
		before := mapOf(old.object["metadata"])
		metadata["uid"], metadata["generation"], metadata["creationTimestamp"] = before["uid"], before["generation"], before["creationTimestamp"]
		if !reflect.DeepEqual(old.given["spec"], o.given["spec"]) {
			metadata["generation"] = before["generation"].(float64) + 1
		}
	}
	if given["creationTimestamp"] != nil {
		metadata["creationTimestamp"] = given["creationTimestamp"]
	}
	o.object, o.version, o.json = maps.Clone(o.given), version, map[string][]byte{}
	o.object["metadata"] = metadata
	for _, v := range o.kind.Versions {
		data, err := o.encode(v, version)
		if err != nil {
			return err
		}
		o.json[v] = data
	}
	return nil
}

// encode returns the object's JSON in a version of its kind, with the given resource version. For a
// deletion that is not the object's own.
func (o *stored) encode(kindVersion string, version int64) ([]byte, error) {
	object := maps.Clone(o.object)
	metadata := maps.Clone(mapOf(object["metadata"]))
	metadata["resourceVersion"] = strconv.FormatInt(version, 10)
	object["metadata"], object["apiVersion"], object["kind"] = metadata, o.kind.apiVersion(kindVersion), o.kind.Kind
	data, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", o.kind.Kind, o.key(), err)
	}
	return data, nil
}

func uid(kind, key string, version int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%d", kind, key, version))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// list returns the objects of a kind, sorted by key, and the version of the last change, atomically.
func (s *Server) list(kind *Kind) (found []*stored, version int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	objects := s.objects[kind.key()]
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		found = append(found, objects[key])
	}
	return found, s.version
}

func (s *Server) get(kind *Kind, namespace, name string) *stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[kind.key()][objectKey(namespace, name)]
}

// since returns the changes after a version, the version of the last of them and a channel that is closed
// when there is another. ok is false when the server no longer has all of the changes.
func (s *Server) since(version int64) (changes []change, now int64, more <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version < s.oldest {
		return nil, s.version, s.more, false
	}
	first, _ := slices.BinarySearchFunc(s.history, version+1, func(c change, v int64) int { return cmp.Compare(c.version, v) })
	return slices.Clone(s.history[first:]), s.version, s.more, true
}

// IstioVersions returns the resource versions of the Istio objects that a control plane of a revision reads, keyed
// by manifest.Object.Ref, such as "VirtualService staff-service". An object with another revision's label is not
// among them.
func (s *Server) IstioVersions(revision string) map[string]string {
	return s.versions(func(o *stored) bool {
		of := revisionOf(o.object)
		return o.kind.Custom() && (of == "" || of == revision)
	})
}

// ServiceVersions returns the resource versions of the Services, keyed by manifest.Object.Ref.
func (s *Server) ServiceVersions() map[string]string {
	return s.versions(func(o *stored) bool { return o.kind.key() == "services." })
}

// versions returns the resource versions of some objects, keyed by manifest.Object.Ref.
func (s *Server) versions(of func(*stored) bool) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]string{}
	for i := range kinds {
		for _, o := range s.objects[kinds[i].key()] {
			if of(o) {
				found[o.ref()] = strconv.FormatInt(o.version, 10)
			}
		}
	}
	return found
}

// Deleted returns the Istio objects, as manifest.Object.Ref, that were deleted among the changes that the server keeps.
func (s *Server) Deleted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]bool{}
	for _, c := range s.history {
		if c.kind.Custom() && c.to == nil {
			found[c.from.ref()] = true
		}
	}
	for _, of := range s.objects {
		for _, o := range of {
			delete(found, o.ref()) // it was created again, or has the name of another API's Gateway
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// revisionOf returns the revision of an Istio object's label, or "" without one.
func revisionOf(object Object) string {
	return field[string](object, "metadata", "labels", manifest.RevisionLabel)
}
