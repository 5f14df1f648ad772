package upstream

import "sync/atomic"

// budget limits retries to a share of calls, so that they do not multiply the load of an outage. Each call
// earns percent hundredths of a retry, up to burst retries. n calls make at most n × percent/100 + burst
// retries.
type budget struct {
	percent int64
	saved   atomic.Int64 // hundredths of a retry
}

// burst is the largest number of saved retries, and the initial one.
const burst = 10

func newBudget(percent int) *budget {
	b := &budget{percent: int64(percent)}
	if percent > 0 {
		b.saved.Store(burst * 100)
	}
	return b
}

// earn counts one call.
func (b *budget) earn() { b.add(b.percent) }

func (b *budget) add(hundredths int64) {
	for {
		saved := b.saved.Load()
		if saved >= burst*100 || b.saved.CompareAndSwap(saved, min(saved+hundredths, burst*100)) {
			return
		}
	}
}

// giveBack adds a retry that was spent but not made.
func (b *budget) giveBack() { b.add(100) }

// spend takes one retry and reports whether one was available.
func (b *budget) spend() bool {
	for {
		saved := b.saved.Load()
		if saved < 100 {
			return false
		}
		if b.saved.CompareAndSwap(saved, saved-100) {
			return true
		}
	}
}
