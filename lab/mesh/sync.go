package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// syncState is istiod's record of a proxy: for each kind of configuration the nonces of the last
// update that was sent and the last that was acknowledged.
type syncState struct {
	Proxy     string `json:"proxy"` // NAME.NAMESPACE
	Resources map[string]struct {
		Sent  string `json:"sent"`
		Acked string `json:"acked"`
	} `json:"resources"`
}

func (s *syncState) synced() bool {
	if len(s.Resources) == 0 {
		return false
	}
	for _, r := range s.Resources {
		if r.Sent != r.Acked {
			return false
		}
	}
	return true
}

// whole reports whether the listeners were sent with the clusters or after them. istiod sends listeners last but for
// routes, and both when an EnvoyFilter changes, as the mark does.
func (s *syncState) whole() bool {
	return push(s.Resources["type.googleapis.com/envoy.config.listener.v3.Listener"].Sent) >= push(s.Resources["type.googleapis.com/envoy.config.cluster.v3.Cluster"].Sent)
}

// push returns the number of the push in a nonce, which is TIME/NUMBER and then a UUID.
func push(nonce string) int {
	_, text, _ := strings.Cut(nonce, "/")
	number, _ := strconv.Atoi(text[:max(0, len(text)-len("00000000-0000-0000-0000-000000000000"))])
	return number
}

// Connection is a proxy's connection to a control plane.
type Connection struct {
	Revision string // of the control plane
	Synced   bool   // the proxy has acknowledged its last update
	whole    bool
}

// ReadSyncs adds to found the proxies of the /debug/syncz of a revision's istiod, as NAME.NAMESPACE.
func ReadSyncs(text []byte, revision string, found map[string]Connection) error {
	var list []*syncState
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("istiod /debug/syncz: %w", err)
	}
	for _, s := range list {
		found[s.Proxy] = Connection{Revision: revision, Synced: s.synced(), whole: s.whole()}
	}
	return nil
}

// syncs returns the proxies that the istiods list, keyed by NAME.NAMESPACE.
func (m *Mesh) syncs(ctx context.Context) (map[string]Connection, error) {
	found := map[string]Connection{}
	for _, i := range m.controlPlanes() {
		if err := i.syncs(ctx, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// syncs adds the proxies that istiod lists to found.
func (i *istiod) syncs(ctx context.Context, found map[string]Connection) error {
	text, err := i.get(ctx, "/debug/syncz")
	if err != nil {
		return err
	}
	return ReadSyncs(text, i.revision, found)
}
