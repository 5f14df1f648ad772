package process

import "time"

// backoff computes the delay between restarts as Kubernetes does, with another first
// delay: 0, first, 2×first, ... up to 30×first.
type backoff struct {
	first, next time.Duration
}

// delay returns how long to wait before the next start of a process that ran
// for up. After 60×first the back-off starts again at 0.
func (b *backoff) delay(up time.Duration) time.Duration {
	if up >= 60*b.first {
		b.next = 0
	}
	delay := b.next
	if b.next == 0 {
		b.next = b.first
	} else {
		b.next = min(2*b.next, 30*b.first)
	}
	return delay
}
