package upstream

import "sync/atomic"

// budget lets retries be a share of calls, so that an outage is not multiplied: each call earns
// percent hundredths of a retry, and at most burst are saved up. Of n calls come at most
// n × percent/100 + burst retries.
type budget struct {
	percent int64
	saved   atomic.Int64 // hundredths of a retry
}

// burst is how many retries a service may make before it has made any call, and after a quiet time.
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

// giveBack returns a retry that was not made.
func (b *budget) giveBack() { b.add(100) }

// spend takes one retry and reports whether there was one.
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
