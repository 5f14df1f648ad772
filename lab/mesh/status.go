package mesh

import (
	"context"
	"fmt"
	"time"
)

// rejectionPoll is how often proxies are asked whether they rejected anything.
const rejectionPoll = time.Second

// watchRejections makes every update that a proxy rejects an error of the run.
func (m *Mesh) watchRejections() {
	for {
		select {
		case <-time.After(rejectionPoll):
			m.lookForRejections(m.stopping)
		case <-m.stopping.Done():
			return
		}
	}
}

func (m *Mesh) lookForRejections(ctx context.Context) {
	for _, p := range m.proxies {
		found, err := p.admin.Rejected(ctx)
		if err != nil {
			continue // it is being started, or stopped
		}
		for _, rejection := range found {
			m.fail("proxy of "+p.name, "rejected an update: "+rejection.String())
		}
	}
}

// check is at the end of the start: nothing rejected, nothing left out.
func (m *Mesh) check(ctx context.Context) error {
	m.lookForRejections(ctx)
	if err := m.Err(); err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	return nil
}
