package check

import (
	"net/http/cookiejar"
	"sync"
)

// visitor sends one request at a time and keeps the cookies of the responses.
type visitor struct {
	sync.Mutex
	jar *cookiejar.Jar
}

func newVisitors(n int) []*visitor {
	visitors := make([]*visitor, n)
	for i := range visitors {
		jar, _ := cookiejar.New(nil) // never an error
		visitors[i] = &visitor{jar: jar}
	}
	return visitors
}
